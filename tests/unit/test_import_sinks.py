"""Events out of the connector: over HTTP to a real (and at times unwell) server, and into a local log."""

from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import orjson
import pytest

from eventlog.sqlite import SqliteEventLog
from identity.rules import DEFAULT_RULES
from producers import cloudevents
from producers.door import Door
from producers.files.events import Event
from producers.files.local import LocalSink
from producers.files.sinks import MAX_BATCH, HttpSink
from producers.limits import MAX_BODY
from registry.models import Source
from schemas.catalog import Catalog
from schemas.errors import Backpressure, Broken, Denied
from schemas.topics import EVENTS, REJECTED
from tests.loopback import LoopbackServer

NOW = 1_765_000_000_000

Answer = tuple[int, dict[str, str], object]


def event(number: int, **properties: object) -> Event:
    return {
        "specversion": "1.0",
        "id": str(number),
        "source": "/files/pos/till",
        "type": "order.completed",
        "time": "2024-07-01T08:00:00.000Z",
        "channel": "pos",
        "data": {
            "identifiers": [{"type": "loyalty_card", "value": "77"}],
            "properties": {"order_id": str(number), "revenue": 1.5, "currency": "EUR", **properties},
        },
    }


class Server(LoopbackServer):
    """Answers as it is told to, the last answer again and again, and keeps what it was sent."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, list[Any]]] = []
        self.answer: Callable[[list[Any]], Answer] = lambda events: (200, {}, {"success": True})
        self.first: list[Answer] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                events = orjson.loads(self.rfile.read(int(self.headers["content-length"])))
                server.requests.append((self.path, self.headers["authorization"], events))
                status, headers, answer = server.first.pop(0) if server.first else server.answer(events)
                body = orjson.dumps(answer)
                self.send_response(status)
                for name, value in {**headers, "content-length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Tests are quiet."""

        super().__init__(Handler)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def sink(server: Server, pauses: list[float]) -> Iterator[HttpSink]:
    with HttpSink(server.url, "wk", pause=pauses.append, random=lambda: 0.0) as made:
        yield made


def test_events_go_in_cloudevents_batches_that_fit(server: Server, sink: HttpSink) -> None:
    large = [event(number, note="x" * 20_000) for number in range(60)]
    small = [event(number) for number in range(100, 100 + MAX_BATCH + 1)]
    outcomes = sink.send(large + small)
    assert [outcome.accepted for outcome in outcomes] == [True] * len(large + small)
    assert {path for path, _, _ in server.requests} == {"/v1/events"}
    assert {auth for _, auth, _ in server.requests} == {"Basic d2s6"}
    assert [one["id"] for _, _, events in server.requests for one in events] == [one["id"] for one in large + small]
    assert all(len(orjson.dumps(events)) <= MAX_BODY for _, _, events in server.requests)


def test_refused_events_are_told_one_by_one(server: Server, sink: HttpSink) -> None:
    rejected = [{"index": 1, "code": "wrong", "reason": "told so"}]
    server.answer = lambda events: (400, {}, {"code": "rejected_events", "rejected": rejected})
    assert [tuple(outcome) for outcome in sink.send([event(1), event(2)])] == [
        (True, "", ""),
        (False, "wrong", "told so"),
    ]


def test_where_the_answer_does_not_say_which_the_sink_finds_out(server: Server, sink: HttpSink) -> None:
    def answer(events: list[Any]) -> Answer:
        bad = any(one["id"] == "2" for one in events)
        return (400, {}, {"code": "wrong", "message": "one is"}) if bad else (200, {}, {})

    server.answer = answer
    outcomes = sink.send([event(1), event(2), event(3)])
    assert [outcome.accepted for outcome in outcomes] == [True, False, True]
    assert outcomes[1].code == "wrong"


def test_a_full_server_is_asked_again_when_it_says(server: Server, sink: HttpSink, pauses: list[float]) -> None:
    server.first = [(429, {"retry-after": "3"}, {}), (503, {}, {}), (500, {"retry-after": "Sat, 1 Jan"}, {})]
    assert sink.send([event(1)])[0].accepted
    assert pauses == [3.0, 0.4, 0.8]
    assert len({orjson.dumps(events) for _, _, events in server.requests}) == 1


def test_patience_ends(server: Server, sink: HttpSink, pauses: list[float]) -> None:
    server.answer = lambda events: (503, {}, {})
    with pytest.raises(Backpressure, match="start again when it is back"):
        sink.send([event(1)])
    assert 100 < sum(pauses) <= 120


def test_a_server_that_is_gone_is_waited_for(pauses: list[float]) -> None:
    gone = Server()
    gone.close()
    with (
        HttpSink(gone.url, "wk", pause=pauses.append, random=lambda: 0.0) as sink,
        pytest.raises(Backpressure, match="ConnectError"),
    ):
        sink.send([event(1)])
    assert pauses


def test_a_wrong_key_and_a_wrong_server_stop_the_import(server: Server, sink: HttpSink) -> None:
    server.answer = lambda events: (401, {}, {})
    with pytest.raises(Denied):
        sink.send([event(1)])
    server.answer = lambda events: (404, {}, {})
    with pytest.raises(Broken):
        sink.send([event(1)])


def test_the_local_sink_writes_what_http_would(tmp_path: Path) -> None:
    catalog = Catalog.load()
    door = Door(b"secret", "default", lambda: DEFAULT_RULES, catalog, lambda: "fresh")
    log = SqliteEventLog(tmp_path / "log.db", partitions=1)
    try:
        sink = LocalSink(door, log, catalog, Source(id="files", channel="pos"), lambda: NOW)
        good, bad = event(1), event(2, **{f"p{number}": number for number in range(300)})
        outcomes = sink.send([good, bad])
        assert [outcome.accepted for outcome in outcomes] == [True, False]
        kept, refused = log.read(EVENTS, 0, 0, 10), log.read(REJECTED, 0, 0, 10)
    finally:
        log.close()
    assert [orjson.loads(record.value)["id"] for record in kept] == [cloudevents.event_id(good)]
    envelope = orjson.loads(kept[0].value)
    assert envelope["channel"] == "pos"
    assert envelope["money"] == {"amount": "1.5", "currency": "EUR"}
    assert orjson.loads(orjson.loads(refused[0].value)["payload"]) == bad
