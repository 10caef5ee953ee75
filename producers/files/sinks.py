"""Where imported events go, as a small port, and its HTTP adapter; `local` has the one for this process."""

import time
from collections.abc import Callable, Iterator, Sequence
from random import random
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote

import httpx
import orjson

from producers.files.events import Event
from producers.files.patient import post
from producers.limits import MAX_BODY
from schemas.errors import Broken

MAX_BATCH = 500
"""Events of one request: few enough for a quick answer, many enough for cheap requests."""

_BATCH_TYPE = {"content-type": "application/cloudevents-batch+json"}


class SendOutcome(NamedTuple):
    """The outcome of one event; `code` and `reason` are empty for an accepted one."""

    accepted: bool
    code: str = ""
    reason: str = ""


ACCEPTED = SendOutcome(True)


class Sink(Protocol):
    def send(self, events: Sequence[Event]) -> list[SendOutcome]:
        """Send events, in order, and block until they are on disk; returns one outcome per event. An event that is sent
        again counts once. Raises `SimorghError` if nothing can be sent.
        """
        ...


class HttpSink:
    """Sends to `POST /v1/events` as CloudEvents batches. Not for use by several threads."""

    def __init__(
        self,
        base_url: str,
        write_key: str,
        *,
        source: str | None = None,
        pause: Callable[[float], None] = time.sleep,
        random: Callable[[], float] = random,
        timeout: float = 60.0,
    ) -> None:
        """`source`: the declared source to send as, which only a server's own key may choose."""
        self._path = "/v1/events" if source is None else f"/v1/events?source={quote(source)}"
        self._client = httpx.Client(base_url=base_url, auth=(write_key, ""), timeout=timeout)
        self._pause = pause
        self._random = random

    def __enter__(self) -> "HttpSink":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def send(self, events: Sequence[Event]) -> list[SendOutcome]:
        outcomes: list[SendOutcome] = []
        for batch in _requests(events):
            outcomes += self._send(batch)
        return outcomes

    def _send(self, batch: list[bytes]) -> list[SendOutcome]:
        body = b"[" + b",".join(batch) + b"]"
        response = post(self._client, self._path, body, headers=_BATCH_TYPE, pause=self._pause, random=self._random)
        answer = _json(response)
        rejected = answer.get("rejected")
        if response.is_success or isinstance(rejected, list):
            return _outcomes(len(batch), rejected or [])
        if response.status_code not in (400, 413, 422):
            raise Broken(f"import: POST /v1/events: wanted 200, got {response.status_code}; see the server's log")
        if len(batch) == 1:
            return [SendOutcome(False, str(answer.get("code", "rejected")), str(answer.get("message", "")))]
        # the answer does not say which: find out
        return [outcome for event in batch for outcome in self._send([event])]


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


def _outcomes(count: int, rejected: list[dict[str, Any]]) -> list[SendOutcome]:
    outcomes = [ACCEPTED] * count
    for one in rejected:
        outcomes[int(one["index"])] = SendOutcome(False, str(one.get("code", "")), str(one.get("reason", "")))
    return outcomes


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
