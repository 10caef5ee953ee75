"""A log whose events are sealed: keys are stored before what they seal, and events are opened as they are read."""

from collections.abc import Sequence
from concurrent.futures import Future

from eventlog.forwarding import ForwardedRecords
from eventlog.port import EventLog, Message, Position, Record
from privacy import records
from privacy.keyring import Keyring
from privacy.sealing import Opener
from schemas import topics

Stored = Future[list[list[Position]]]
Writes = Sequence[tuple[str, Sequence[Message]]]


class SealedLog(ForwardedRecords):
    """Any log. See `eventlog.port.EventLog`.

    Side effects of `submit`, in order, and what a crash after each means:

      1 keys     are stored, and seal nothing yet: the next event of their nodes uses them
      2 events   are stored
    """

    def __init__(self, log: EventLog, keyring: Keyring) -> None:
        super().__init__(log)
        self._keyring = keyring
        self._opener = Opener(keyring)

    def append(self, topic: str, messages: Sequence[Message]) -> list[Position]:
        messages = records.seal(topic, messages, self._keyring)
        for storing in self._keyring.storing():
            storing.result()
        return self._log.append(topic, messages)

    def submit(self, writes: Writes) -> Stored:
        writes = [(topic, records.seal(topic, messages, self._keyring)) for topic, messages in writes]
        storing = self._keyring.storing()
        return _Submission(self._log, writes, storing).stored if storing else self._log.submit(writes)

    def read(self, topic: str, partition: int, offset: int, limit: int) -> list[Record]:
        found = self._log.read(topic, partition, offset, limit)
        return self._opened(found) if topic == topics.EVENTS else records.opened(topic, found, self._keyring)

    def _opened(self, found: list[Record]) -> list[Record]:
        values = self._opener.open_all([record.value for record in found])
        return [
            record if value is record.value else record._replace(value=value)
            for record, value in zip(found, values, strict=True)
        ]

    def commit(self, group: str, positions: dict[str, dict[int, int]]) -> None:
        self._log.commit(group, positions)

    def committed(self, group: str, topic: str) -> list[int]:
        return self._log.committed(group, topic)

    def close(self) -> None:
        """The log, then the keys."""
        self._log.close()
        self._keyring.close()


class _Submission:
    """Writes that wait for keys."""

    def __init__(self, log: EventLog, writes: Writes, storing: Sequence["Future[None]"]) -> None:
        self.stored: Stored = Future()
        self._log = log
        self._writes = writes
        self._storing = iter(storing)
        self._wait()

    def _wait(self) -> None:
        """Continue when the next keys are stored; they are awaited one after the other, in any thread."""
        storing = next(self._storing, None)
        if storing is not None:
            storing.add_done_callback(self._key_stored)
            return
        try:
            self._log.submit(self._writes).add_done_callback(self._written)
        except BaseException as error:
            self.stored.set_exception(error)

    def _key_stored(self, done: "Future[None]") -> None:
        error = done.exception()
        if error is not None:
            self.stored.set_exception(error)
        else:
            self._wait()

    def _written(self, done: Stored) -> None:
        error = done.exception()
        if error is not None:
            self.stored.set_exception(error)
        else:
            self.stored.set_result(done.result())
