"""The key store of a cluster: the compacted topic `simorgh.keys`, of which each process has a copy (`privacy.copy`).

A record is one key: node and id, then the wrapped key and the sealed name. An empty value destroys it. All records
have one order. Collectors need not agree on a key: two that see a new person at the same moment draw one each. A sealed
event names the key that it needs, and the destruction of a node destroys all its keys.

Sealing: the steps in order, and what a crash after each means:

  1 the key is drawn     in memory: nobody has seen it
  2 simorgh.keys         with all replicas in sync: a key that seals nothing yet
  3 simorgh.events       whoever can read the event can read the key, which is before it in time

Opening: if an event names a key that the copy does not have, the process first reads the rest of the topic. If it is
not there either, it is destroyed. The copy is read on twice a second, and a process that could not do so for `LEASE`
seconds opens nothing.

Destroying, in order:

  1 simorgh.keys     an empty value for each key: a process that starts, or reads on, no longer has the key
  2 `LEASE` seconds  after these no process has it (`is_known`). A crash: the round starts over, and waits again
  3 a beat           a record twice a minute, so that the segments with the keys are closed and compacted
  4 the offsets      of the keys are read until nothing is found there (`purge`). Each copy remembers them,
                     so that another process can continue
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from itertools import takewhile
from typing import Final

from eventlog.port import LatestRecords, Message, Position
from privacy.copy import KeysCopy, encode
from privacy.store import LEASE, StoredKey
from schemas.clock import Clock
from schemas.errors import Backpressure, Conflict, SimorghError
from schemas.retry import Failures, Pauses

_LOG: Final = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.5
START_SECONDS: Final = 20.0
"""How long opening waits for the copy; a large topic is read on in the background."""
BEAT_SECONDS: Final = 30.0
FILES_SECONDS: Final = 5.0
"""The broker removes replaced segments a second after it has compacted them."""

_IDENTITY: Final = b"identity"
_BEAT: Final = b"beat"
_READ: Final = 10_000
_LOOKED_AT: Final = 200
"""Offsets that one `purge` looks at."""
_PAUSES: Final = Pauses(LOOK_SECONDS, 5.0)
_END_SECONDS: Final = 2.0


def identity_of(topic: LatestRecords) -> str:
    """The identity of the key store in the topic; "" for a new topic. Usually in the first record."""
    end = topic.end()
    position = 0
    while records := topic.read(position, 1_000, end):
        for record in records:
            if record.key == _IDENTITY:
                return record.value.decode(errors="replace")
        position = records[-1].offset + 1
    return ""


def identify(topic: LatestRecords, identity: str) -> None:
    """Mark a new topic as this key store. Any number of processes may do so with the same identity."""
    topic.submit([(_IDENTITY, identity.encode())]).result()


class TopicKeys:
    """See `privacy.store.KeyStore`. Any number of processes, each with a copy of its own."""

    def __init__(
        self,
        topic: LatestRecords,
        copy: KeysCopy,
        clock: Clock,
        *,
        start: float = START_SECONDS,
        beat: float = BEAT_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Waits `start` seconds for the copy. `beat`: seconds between two beats. Topic and copy are closed with it."""
        self._monotonic = monotonic
        self._topic = topic
        self._copy = copy
        self._clock = clock
        self._beat = beat
        self._beaten_at = self._awaited_at = float("-inf")
        self._destroyed_at = monotonic()
        """When this process last read of a destruction; at first now, since another may just have written it."""
        self._purging: int | None = None
        """The position up to which a `purge` is under way."""
        self._level_at = float("-inf")
        """When the end was asked for up to which the copy is read."""
        self._end = 0
        self._reading = threading.Lock()
        self._forget: Callable[[Collection[int]], None] = _nobody
        self._over = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="keys", daemon=True)
        self._thread.start()
        self._ready.wait(start)

    def follow(self, forget: Callable[[Collection[int]], None]) -> None:
        self._forget = forget

    # ---- reading

    def of(self, nodes: Collection[int]) -> Mapping[int, Sequence[StoredKey]]:
        self._require_open()
        self._require_ready()
        return self._copy.of(nodes)

    def level(self, within: float = 0.0) -> bool:
        entered = self._monotonic()
        if entered - self._level_at <= within:
            return False
        self._require_open()
        self._require_ready()
        with self._reading:
            if self._level_at < entered:  # otherwise another thread has asked meanwhile
                self._read_on()
        return True

    def _read_on(self) -> None:
        """Read to the present end. The caller holds the lock."""
        self._copy.forget_if_away(self._clock())
        asked, now = self._monotonic(), self._clock()
        self._end = self._topic.end()
        while self._copy.position < self._end and not self._over.is_set():
            records = self._topic.read(self._copy.position, _READ, self._end)
            if destroyed := self._copy.take_in(records):
                self._forget(destroyed)
                self._destroyed_at = self._monotonic()
        self._copy.note_level(now)
        self._level_at = asked

    def _follow(self) -> None:
        failures = Failures(_PAUSES)
        pause = 0.0
        while not self._over.wait(pause):
            try:
                with self._reading:
                    self._read_on()
                self._ready.set()
                failures.clear()
                pause = LOOK_SECONDS
            except Exception as error:  # never the end: this process would open nothing any more
                failures.add(error)
                if failures.of_ours and not self._over.is_set():
                    _LOG.error("keys: simorgh.keys cannot be read on; nothing is opened until then", exc_info=error)
                pause = failures.pause(random.random())

    def _require_ready(self) -> None:
        if not self._ready.is_set():
            raise Backpressure(
                f"key store: wanted to have read simorgh.keys, got {self._copy.position} of {self._end} records so far;"
                " ask again in a moment",
                code="keys_behind",
            )

    def _require_open(self) -> None:
        if self._over.is_set():
            raise Conflict("key store: wanted an open one, got a closed one; open it again", code="closed")

    # ---- writing

    def add(self, keys: Sequence[StoredKey]) -> "Future[None]":
        self._require_open()
        done: Future[None] = Future()
        try:
            stored = self._topic.submit([encode(key) for key in keys])
        except SimorghError as error:
            done.set_exception(error)
        else:
            stored.add_done_callback(lambda stored: self._stored(keys, stored, done))
        return done

    def _stored(self, keys: Sequence[StoredKey], stored: "Future[list[list[Position]]]", done: "Future[None]") -> None:
        error = stored.exception()
        if error is not None:
            done.set_exception(error)
            return
        try:
            self._copy.put(keys, [offset for _, offset in stored.result()[0]])
        except Exception as failed:
            _LOG.warning("keys: the copy cannot be written (%s); it is read on from the topic", type(failed).__name__)
        done.set_result(None)

    def destroy(self, nodes: Collection[int]) -> int:
        self.level()
        found = self._copy.of(nodes)
        gone: list[Message] = [(encode(key)[0], b"") for keys in found.values() for key in keys]
        if gone:
            self._topic.submit(gone).result()
            self.level()
        return len(gone)

    def is_known(self) -> bool:
        return self._monotonic() - self._destroyed_at > LEASE

    def purge(self) -> bool:
        """Later destructions do not delay the result for the keys that were destroyed when this was first called."""
        self.level()
        if self._purging is None:
            self._purging = self._copy.position
        awaited = self._copy.gone(_LOOKED_AT, self._purging)
        if awaited:
            self._beat_now_and_then()
            self._copy.have_left(list(takewhile(self._has_left, awaited)))
            self._awaited_at = self._monotonic()
            return False
        if self._monotonic() - self._awaited_at <= FILES_SECONDS:
            return False
        self._purging = None
        return True

    def _has_left(self, offset: int) -> bool:
        """The broker compacts from lower to higher offsets, so finding one of them is enough."""
        records = self._topic.read(offset, 1, self._end)
        return not records or records[0].offset != offset

    def _beat_now_and_then(self) -> None:
        if self._monotonic() - self._beaten_at >= self._beat:
            self._topic.submit([(_BEAT, _BEAT)]).result()
            self._beaten_at = self._monotonic()

    def close(self) -> None:
        if not self._over.is_set():
            self._over.set()
            self._topic.close()
            self._thread.join(_END_SECONDS)
            self._copy.close()


def _nobody(nodes: Collection[int]) -> None: ...
