"""What a server grants to connections, streams and heavy queries, as those who ask for it see it."""

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.harness import TOKEN, Client, Server, running, wait_for
from tests.hostile.attack import Plan
from tests.hostile.measure import measure

SETTINGS: Any = {
    "SIMORGH_HTTP_CONNECTIONS": "20",
    "SIMORGH_HTTP_HEADER_SECONDS": "1",
    "SIMORGH_HTTP_BODY_SECONDS": "1",
    "SIMORGH_HTTP_IDLE_SECONDS": "1",
    "SIMORGH_STREAMS_PER_TOKEN": "2",
    "SIMORGH_QUERY_QUEUE": "4",
    "SIMORGH_METRICS_BIND": "127.0.0.1:0",
    "SIMORGH_PUBLIC_URL": "https://events.example.com",
}
HEAD = b"POST /v1/batch HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("front") / "data").start(**SETTINGS) as made:
        yield made
        assert not made.died()


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Client]:
    made = Client(server)
    yield made
    made.close()


def told(server: Server, *parts: bytes) -> bytes:
    """What the server says, until it closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as wire:
        try:
            for part in parts:
                wire.sendall(part)
            answer = b""
            while more := wire.recv(65_536):
                answer += more
        except ConnectionResetError:
            return b"reset"
        return answer


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ([HEAD], b"408"),
        ([HEAD + b"X: " + b"a" * 40_000], b"431"),
        ([HEAD, *[b"X-%d: %s\r\n" % (n, b"a" * 500) for n in range(70)]], b"431"),
        ([b"GET /" + b"a" * 40_000], b"431"),
        ([HEAD + b"Content-Length: 100\r\n\r\n{"], b"408"),
        ([HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX: " + b"a" * 200_000], b"413"),
        ([b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"], b"400"),
        ([b"GET / HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n"], b"400"),
    ],
)
def test_what_never_ends_is_ended(server: Server, parts: list[bytes], status: bytes) -> None:
    answer = told(server, *parts)
    if answer != b"reset":  # what was still being sent may cost the answer
        assert answer.startswith(b"HTTP/1.1 " + status), answer[:200]
        assert b"urn:simorgh:problem:" in answer


def test_whoever_says_nothing_is_closed(server: Server) -> None:
    assert told(server) == b""
    assert told(server, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 200")
    assert told(server, b"\r\n").startswith(b"HTTP/1.1 408")


def test_idle_sockets_and_slow_bodies_keep_nobody_out(server: Server) -> None:
    held = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(60)]
    slow = HEAD + b"Authorization: Basic dGVzdC13cml0ZS1rZXk6\r\nContent-Length: 99\r\n\r\n{"
    try:
        for wire in held[::2]:
            try:
                wire.sendall(slow)
            except OSError:
                continue
        wait_for(lambda: httpx.get(f"{server.url}/healthz").status_code == 200, "the newcomers still have time", 5)
        for _ in range(5):
            assert httpx.get(f"{server.url}/healthz").status_code == 200
    finally:
        for wire in held:
            wire.close()


def test_metrics_are_moved_and_the_public_url_is_told(server: Server) -> None:
    assert httpx.get(f"{server.url}/metrics").json()["code"] == "not_found"
    settings = httpx.get(f"{server.url}/v1/projects/test-write-key/settings", headers={"host": "evil.example"}).json()
    assert settings["integrations"]["Segment.io"]["apiHost"] == "events.example.com/v1"


def test_streams_end_with_their_token_and_are_few(server: Server, client: Client) -> None:
    client.post("/v1/segments", {"id": "some", "rule": {"trait": "x", "exists": True}})
    made = client.post("/v1/tokens", {"name": "thief", "scopes": ["read"]})
    headers = {"authorization": f"Bearer {made['token']}"}
    path = f"{server.url}/v1/segments/some/stream"
    with httpx.stream("GET", path, headers=headers) as one, httpx.stream("GET", path, headers=headers) as two:
        streams = [one.iter_raw(), two.iter_raw()]
        assert [next(stream) for stream in streams] == [b": connected\n\n"] * 2
        third = httpx.get(path, headers=headers)
        assert (third.status_code, third.json()["code"]) == (429, "too_many_streams")
        client.delete(f"/v1/tokens/{made['id']}")
        begun = time.monotonic()
        assert [list(stream) for stream in streams] == [[], []]
        assert time.monotonic() - begun < 5


def test_streams_give_up_their_places_when_others_need_them(server: Server, client: Client) -> None:
    client.post("/v1/segments", {"id": "streamed", "rule": {"trait": "x", "exists": True}})
    made = [client.post("/v1/tokens", {"name": f"n{n}", "scopes": ["read"]}) for n in range(8)]
    with ExitStack() as streams:
        for token in made * 2:  # one more than the places of one address
            headers = {"authorization": f"Bearer {token['token']}"}
            wait_for(lambda: _opened(server, headers, streams), "no place for a stream", 10)  # noqa: B023 - at once
        wait_for(lambda: httpx.get(f"{server.url}/healthz").status_code == 200, "streams keep others out", 5)
    for token in made:
        client.delete(f"/v1/tokens/{token['id']}")


def _opened(server: Server, headers: dict[str, str], streams: ExitStack) -> bool:
    stream = streams.enter_context(httpx.stream("GET", f"{server.url}/v1/segments/streamed/stream", headers=headers))
    return stream.status_code == 200


def test_heavy_queries_take_turns_and_health_does_not_wait(server: Server, client: Client) -> None:
    leaves = [{"event": f"e{n}", "where": [{"property": "p", "gte": n}], "count": {"gte": 1}} for n in range(60)]

    def preview(_: int) -> httpx.Response:
        headers = {"authorization": f"Bearer {TOKEN}"}
        return httpx.post(
            f"{server.url}/v1/segments/preview", json={"rule": {"any": leaves}}, headers=headers, timeout=60
        )

    server_limit = 14  # below the most connections of one server, of which other clients hold some
    with ThreadPoolExecutor(server_limit) as callers:
        answers = list(callers.map(preview, range(server_limit)))
    counted = Counter(answer.status_code for answer in answers)
    assert set(counted) <= {200, 429, 503}, counted
    assert counted[200] >= 2
    assert counted[429] > 0
    assert all(answer.headers["retry-after"] for answer in answers if answer.status_code != 200)


def test_sigterm_ends_what_runs(tmp_path: Path) -> None:
    with running(tmp_path / "data") as (server, client):
        client.post("/v1/segments", {"id": "some", "rule": {"trait": "x", "exists": True}})
        connected = threading.Event()

        def follow() -> None:
            headers = {"authorization": f"Bearer {TOKEN}"}
            with httpx.stream("GET", f"{server.url}/v1/segments/some/stream", headers=headers, timeout=60) as stream:
                for _ in stream.iter_raw():
                    connected.set()

        follower = threading.Thread(target=follow)
        follower.start()
        wait_for(connected.is_set, "the stream does not begin")
        with socket.create_connection(("127.0.0.1", server.port)) as held:
            held.sendall(HEAD + b"Content-Length: 9\r\n\r\n")
            begun = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - begun < 12
        follower.join(60)
        assert not follower.is_alive()


def test_an_attack_costs_an_ordinary_client_nothing(tmp_path: Path) -> None:
    """A short `make hostile`. Times are judged there: this machine may have other things to do."""
    plan: Any = Plan(idle=120, previews=30, streams=25)
    report = measure(tmp_path, 5, plan, calm_seconds=1, descriptors=1_024, health_seconds=10)
    assert not report.misses, "\n".join(report.lines())
