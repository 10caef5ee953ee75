"""Where imported events go: a Simorgh that runs somewhere (HTTP), or the log of this process."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import httpx
import orjson

from eventlog.port import EventLog
from producers import cloudevents
from producers.door import Accepted, Door, Refused, Verdict
from producers.files.orders import Event
from producers.limits import MAX_BODY
from registry.models import Source
from schemas.catalog import Catalog
from schemas.clock import Clock
from schemas.errors import Backpressure, Broken, Denied, InvalidEvent
from schemas.topics import EVENTS, REJECTED

MAX_BATCH = 500
"""Events of one request: few enough that an answer comes soon, many enough that requests cost nothing."""

_PATIENCE_S = 120.0
"""How long one request is tried again before the import stops (and can simply be started again)."""


class Outcome(NamedTuple):
    """What became of one event; `code` and `reason` are empty for an accepted one."""

    accepted: bool
    code: str = ""
    reason: str = ""


ACCEPTED = Outcome(True)


class Sink(Protocol):
    def send(self, events: Sequence[Event]) -> list[Outcome]:
        """Hand over events, in order, and block until they are safe; one outcome per event.

        Sending an event again does not count it again. Raises `SimorghError` when nothing can be sent.
        """
        ...


class HttpSink:
    """Sends to `POST /v1/events` as CloudEvents batches. Not for use by several threads."""

    def __init__(
        self,
        base_url: str,
        write_key: str,
        *,
        pause: Callable[[float], None] = time.sleep,
        timeout: float = 60.0,
    ) -> None:
        self._client = httpx.Client(base_url=base_url, auth=(write_key, ""), timeout=timeout)
        self._pause = pause

    def __enter__(self) -> "HttpSink":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def send(self, events: Sequence[Event]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for batch in _requests(events):
            outcomes += self._send(batch)
        return outcomes

    def _send(self, batch: list[bytes]) -> list[Outcome]:
        response = self._post(b"[" + b",".join(batch) + b"]")
        if response.status_code in (401, 403):
            raise Denied("import: the server refuses the write key; give a key of this workspace")
        answer = _json(response)
        rejected = answer.get("rejected")
        if response.is_success or isinstance(rejected, list):
            return _outcomes(len(batch), rejected or [])
        if len(batch) == 1 and response.status_code in (400, 413, 422):
            return [Outcome(False, str(answer.get("code", "rejected")), str(answer.get("message", "")))]
        if response.status_code in (400, 413, 422):  # the answer does not say which: find out
            return [outcome for event in batch for outcome in self._send([event])]
        raise Broken(f"import: POST /v1/events wanted 200, got {response.status_code}; see the server's log")

    def _post(self, body: bytes) -> httpx.Response:
        """One request, again and again while the server is away or asks for patience."""
        waited, delay = 0.0, 0.2
        while True:
            wait = delay
            try:
                response = self._client.post(
                    "/v1/events", content=body, headers={"content-type": "application/cloudevents-batch+json"}
                )
                if response.status_code != 429 and response.status_code < 500:
                    return response
                wait = max(delay, _retry_after(response))
                what = f"answers {response.status_code}"
            except httpx.TransportError as error:
                what = f"cannot be reached ({type(error).__name__})"
            if waited + wait > _PATIENCE_S:
                raise Backpressure(
                    f"import: the server {what} since {waited:.0f} s; start the import again when it is back "
                    "(what was sent is not counted twice)"
                )
            self._pause(wait)
            waited += wait
            delay = min(delay * 2, 10.0)


class LocalSink:
    """Appends to the log of this process, through the same door as HTTP and with the same ids."""

    def __init__(self, door: Door, log: EventLog, catalog: Catalog, source: Source, clock: Clock) -> None:
        self._door = door
        self._log = log
        self._catalog = catalog
        self._source = source
        self._clock = clock

    def send(self, events: Sequence[Event]) -> list[Outcome]:
        received_at = self._clock()
        verdicts = [self._verdict(event, received_at) for event in events]
        writes = {EVENTS: [one.message for one in verdicts if isinstance(one, Accepted)]}
        writes[REJECTED] = [one.message for one in verdicts if isinstance(one, Refused)]
        self._log.submit([(topic, messages) for topic, messages in writes.items() if messages]).result()
        return [
            ACCEPTED if isinstance(one, Accepted) else Outcome(False, one.code, one.reason)
            for one in verdicts
        ]

    def _verdict(self, event: Event, received_at: int) -> Verdict:
        raw = orjson.dumps(event)
        id = cloudevents.event_id(event)
        if id is None:
            raise Broken("import: the connector made an event without source and id; report this")
        try:
            incoming = cloudevents.to_incoming(event, id, raw, self._source, received_at, self._catalog)
        except InvalidEvent as error:
            return self._door.refuse(error, id, raw, self._source, event["channel"], received_at)
        return self._door.admit(incoming)


def _requests(events: Sequence[Event]) -> Iterator[list[bytes]]:
    """The events as JSON, cut into what one request may hold."""
    batch: list[bytes] = []
    size = 2
    for event in events:
        raw = orjson.dumps(event)
        if batch and (len(batch) == MAX_BATCH or size + len(raw) + 1 > MAX_BODY):
            yield batch
            batch, size = [], 2
        batch.append(raw)
        size += len(raw) + 1
    if batch:
        yield batch


def _outcomes(count: int, rejected: list[dict[str, Any]]) -> list[Outcome]:
    outcomes = [ACCEPTED] * count
    for one in rejected:
        outcomes[int(one["index"])] = Outcome(False, str(one.get("code", "")), str(one.get("reason", "")))
    return outcomes


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _retry_after(response: httpx.Response) -> float:
    try:
        return float(response.headers.get("retry-after", "0"))
    except ValueError:  # the other form is a date: the usual delay serves as well
        return 0.0
