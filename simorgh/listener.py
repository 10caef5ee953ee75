"""Limits of time and size for connections: uvicorn's HTTP protocol with bounds.

A connection has a *place*. It *waits* from when it opens, or from the end of an answer, until the next request's head
is complete, then *sends* until its body is, and *listens* to an answer that goes on for seconds, such as a stream of
events. Places are limited by descriptors. If none is free, a new connection takes the place of the one that has waited
longest for its first request, else of the one that has listened longest, else of the one that has waited longest for
another request, else of the one that has sent longest. For its first `PATIENCE` a wait is left alone, and the new
connection is answered 503, which an ordinary client gets over more easily than a broken connection. For the same
reason a connection keeps its place while bytes of it wait to be read: under load its request may be there already. So
idle sockets, streams and slow senders, however many, lock nobody out.
"""

import asyncio
import math
import os
import resource
import select
from collections import Counter
from collections.abc import Container, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice, takewhile
from typing import Any, Final

import orjson
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from registry.throttle import network_of
from schemas.problems import CONTENT_TYPE, problem_body

MOST_CONNECTIONS: Final = 10_000
LEAST_CONNECTIONS: Final = 16
MOST_DESCRIPTORS: Final = 65_536
ENGINE_FILES: Final = 140
"""Files that the embedded engine opens while it works: three for each thread that asks it or is its own, and the parts
that it merges."""

MOST_PIPELINED: Final = 32
"""Requests of one connection that wait for the answer before theirs."""

BODY_RATE: Final = 1_000
"""Bytes a second: each thousand bytes that came buy a body one more second."""

FRAMING: Final = 65_536
"""Bytes of a request that are neither head nor body: sizes of chunks, trailers. Beyond, one for each byte of body."""

MOST_BODY: Final = 64 * 1024 * 1024
"""No path reads as much. Refused bodies are read up to their own limit, so that the client gets the answer."""

LINGER: Final = 1.0
"""Seconds in which a refused sender may read the answer; what it still sends is dropped."""

PATIENCE: Final = 0.2
"""Seconds that a connection has to show what it wants before it gives up its place."""

CANDIDATES: Final = 4
"""Connections of a line that are asked for a place, before the next line is."""

NEVER: Final = math.inf


@dataclass(frozen=True, slots=True)
class Limits:
    """Connections at once, of all and of one address; bytes of a head; seconds for a head, for a body (see
    `BODY_RATE`), between two requests, and for a client to read the answer."""

    connections: int = MOST_CONNECTIONS
    per_address: int = MOST_CONNECTIONS
    head_bytes: int = 32_768
    head_seconds: float = 10.0
    body_seconds: float = 20.0
    idle_seconds: float = 75.0
    stalled_seconds: float = 30.0


def spare_descriptors() -> int:
    """Raise this process's limit of open files as far as it may, and say how many it could still open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    return (MOST_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft) - open_descriptors()


def open_descriptors() -> int:
    try:
        return len(os.listdir("/dev/fd"))
    except OSError:
        return 64


def connections_allowed(asked: int, spare: int) -> int:
    """`asked`, 0 for as many as possible; never more than half of what the engine does not need itself."""
    return max(LEAST_CONNECTIONS, min(asked or MOST_CONNECTIONS, (spare - ENGINE_FILES) // 2))


class WaitingLine:
    """Connections in the order in which they came, in all and by address, each with the time when it did."""

    def __init__(self) -> None:
        self._all: dict[HttpConnection, float] = {}
        self._at: dict[str, dict[HttpConnection, float]] = {}

    def put(self, one: "HttpConnection") -> None:
        """At the end, unless it is there."""
        now = one.loop.time()
        self._all.setdefault(one, now)
        self._at.setdefault(one.address, {}).setdefault(one, now)

    def drop(self, one: "HttpConnection") -> None:
        if one in self._all:
            del self._all[one]
            at = self._at[one.address]
            del at[one]
            if not at:
                del self._at[one.address]

    def first(self, address: str | None, before: float) -> "HttpConnection | None":
        """The first one, of those that came before this time, that has no bytes waiting to be read."""
        line = self._all if address is None else self._at.get(address, {})
        longest = takewhile(lambda entry: entry[1] < before, islice(line.items(), CANDIDATES))
        return next((one for one, _ in longest if not one.has_unread()), None)


class Places:
    """The open connections, and which to close. For the event loop's thread."""

    def __init__(self, limits: Limits, exempt: Container[str] = frozenset()) -> None:
        """`exempt`: addresses that may hold every place, such as a proxy's."""
        self.limits = limits
        self._exempt = exempt
        self._connections: set[HttpConnection] = set()
        self._at: Counter[str] = Counter()
        self.strangers, self.listening, self.waiting, self.sending = (WaitingLine() for _ in range(4))
        self._lines = (self.strangers, self.listening, self.waiting, self.sending)
        """In the order in which they give up places."""
        self.closed: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._connections)

    def admit(self, new: "HttpConnection") -> bool:
        """Give it a place, if necessary another's; False if all are being served."""
        limits, address = self.limits, new.address
        if self._at[address] >= limits.per_address and new.peer not in self._exempt:
            found = self._let_go(address, new.loop.time())
        elif len(self._connections) >= limits.connections:
            found = self._let_go(None, new.loop.time())
        else:
            found = True
        if found:
            self._connections.add(new)
            self._at[address] += 1
            self.strangers.put(new)
        return found

    def left(self, one: "HttpConnection") -> None:
        if one in self._connections:
            self._connections.remove(one)
            for line in self._lines:
                line.drop(one)
            self._at[one.address] -= 1
            if not self._at[one.address]:
                del self._at[one.address]

    def sweep(self, now: float) -> None:
        """End what takes too long, and see whose answer goes on. Once a second is often enough."""
        for one in list(self._connections):
            if one.is_overdue(now):
                one.give_up(now)
            elif one.is_listening():
                self.listening.put(one)

    def _let_go(self, address: str | None, now: float) -> bool:
        longest = next((one for line in self._lines if (one := line.first(address, now - PATIENCE))), None)
        if longest is None:
            return False
        self.closed["place_needed"] += 1
        self.left(longest)
        longest.abort()
        return True


class HttpConnection(HttpToolsProtocol):
    """One connection. `places` is shared by all of a server."""

    def __init__(self, places: Places, **given: Any) -> None:
        super().__init__(**given)
        self._places = places
        self._limits = places.limits
        self.peer = self.address = ""  # as it is, and the network that counts as one address
        self._in_head = True
        self._head = 0  # bytes of a head that is not complete yet
        self._came = self._body = 0  # bytes since the head was complete; of these, the body's
        self._whole = True  # nothing more of the latest request is to come
        self._since = NEVER  # when the head was complete whose body is coming
        self._head_due = NEVER
        self._stalled_due = NEVER
        self._refused = False

    def has_unread(self) -> bool:
        """Whether bytes came that the event loop has not read yet."""
        unread = select.poll()
        unread.register(self.transport.get_extra_info("socket"), select.POLLIN)
        return bool(unread.poll(0))

    # --- called by the transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.peer = self.client[0] if self.client else ""
        self.address = network_of(self.peer)
        if self._places.admit(self):
            self._head_due = self.loop.time() + self._limits.head_seconds
        else:
            self._places.closed["no_place"] += 1
            self._answer(503, "too_many_connections", "Too many connections are being served now: try again soon.")
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._places.left(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._in_head:
            if self._head_due == NEVER:
                self._head_due = self.loop.time() + self._limits.head_seconds
            room = self._limits.head_bytes - self._head
            if len(data) > room:
                super().data_received(data[:room])
                if self._refused or self.transport.is_closing():
                    return
                if self._in_head:
                    self._refuse(431, "header_too_large", f"The head: at most {self._limits.head_bytes} bytes.")
                    return
                data = data[room:]
            else:
                self._head += len(data)
        self._came += len(data)
        super().data_received(data)
        if not self._whole and (self._came > FRAMING + 2 * self._body or self._body > MOST_BODY):
            self._refuse(413, "too_large", "The body, its framing or its trailers: more than any request needs came.")

    def pause_writing(self) -> None:
        self._stalled_due = self.loop.time() + self._limits.stalled_seconds
        super().pause_writing()

    def resume_writing(self) -> None:
        self._stalled_due = NEVER
        super().resume_writing()

    # --- called by the parser

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # trailers belong to nobody
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= MOST_PIPELINED:
            raise ValueError("too many requests before their answers")
        self._in_head, self._whole = False, False
        self._head = self._came = self._body = 0
        self._head_due, self._since = NEVER, self.loop.time()
        self._places.strangers.drop(self)
        self._places.waiting.drop(self)
        self._places.sending.put(self)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_head, self._whole, self._since = True, True, NEVER
        self._places.sending.drop(self)
        super().on_message_complete()
        self._wait_if_done()

    # --- called by the application

    def on_response_complete(self) -> None:
        self._places.listening.drop(self)
        super().on_response_complete()
        self._wait_if_done()

    def _wait_if_done(self) -> None:
        if self._whole and self.cycle.response_complete and not self.transport.is_closing():
            self._places.waiting.put(self)

    # --- the end

    def is_overdue(self, now: float) -> bool:
        return now > self._head_due or now > self._stalled_due or self._is_slow(now)

    def _is_slow(self, now: float) -> bool:
        allowed = self._limits.body_seconds + self._body / BODY_RATE
        return now - self._since > allowed and not self.flow.read_paused

    def is_listening(self) -> bool:
        """Whether the latest request came whole and its answer has begun, but not ended."""
        cycle = self.cycle
        return self._whole and cycle is not None and cycle.response_started and not cycle.response_complete

    def give_up(self, now: float) -> None:
        """Answer 408 if a request had begun without an answer; else just close."""
        stalled = now > self._stalled_due
        self._places.closed["stalled" if stalled else "head" if now > self._head_due else "body"] += 1
        begun = self._head > 0 or not self._in_head
        if stalled or not begun or (self.cycle is not None and self.cycle.response_started and not self._in_head):
            self.abort()
        else:
            self._refuse(408, "request_timeout", "The request did not come in time: send it again, without pauses.")

    def abort(self) -> None:
        self._refused = True
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        self._places.closed["not_http"] += 1
        self._refuse(400, "invalid_http", "request: wanted HTTP/1.1, got something else; send HTTP/1.1")

    def _refuse(self, status: int, code: str, message: str) -> None:
        """Send the reason, unless an answer is in progress, and close; drop what still arrives."""
        self._refused = True
        answering = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        if self.transport.is_closing():
            return
        if answering:
            self.transport.abort()
            return
        self._places.closed[code] += 1
        self._answer(status, code, message)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # the request's handler learns that it ended
            self.cycle.message_event.set()
        self.loop.call_later(LINGER, self.transport.abort)

    def _answer(self, status: int, code: str, message: str) -> None:
        body = orjson.dumps(problem_body(status, code, message))
        head = [
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
            f"content-type: {CONTENT_TYPE}",
            f"content-length: {len(body)}",
            "access-control-allow-origin: *",
            *(["retry-after: 1"] if status in (408, 503) else []),
            "connection: close",
        ]
        self.transport.write("\r\n".join(head).encode() + b"\r\n\r\n" + body)


class ListenerMetrics:
    """A collector for prometheus_client."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def register(self, registry: CollectorRegistry) -> None:
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("simorgh_http_connections", "Open connections", value=len(self._places))
        yield GaugeMetricFamily(
            "simorgh_http_connections_most", "Connections that are taken at once", value=self._places.limits.connections
        )
        closed = CounterMetricFamily(
            "simorgh_http_connections_closed", "Connections that were closed for a reason of ours", labels=["reason"]
        )
        for reason, count in sorted(self._places.closed.copy().items()):
            closed.add_metric([reason], count)
        yield closed
