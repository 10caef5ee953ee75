"""Vendors' certificates and confirmations: fetched past the guard of all outgoing requests."""

from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler

import pytest

from producers.fetching import Fetching, get_past_the_guard
from schemas.errors import Backpressure, InvalidInput, Unverified
from tests.loopback import LoopbackServer

GET = partial(get_past_the_guard, allow_private=True)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(302 if self.path == "/elsewhere" else 200)
        self.send_header("location", "/cert")
        self.end_headers()
        self.wfile.write(b"x" * 200_000 if self.path == "/large" else b"certificate")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    server = LoopbackServer(Handler)
    yield server.url
    server.close()


def test_answers_are_read_up_to_a_limit_and_redirects_are_not_followed(url: str) -> None:
    assert GET(f"{url}/cert") == (200, b"certificate")
    status, body = GET(f"{url}/large")
    assert (status, len(body)) == (200, 65_536)
    assert GET(f"{url}/elsewhere")[0] == 302


@pytest.mark.parametrize("url", ["https://127.0.0.1/cert", "https://169.254.169.254/x", "https://sns.internal/x"])
def test_no_certificate_comes_from_a_private_address(url: str) -> None:
    with pytest.raises(InvalidInput):
        get_past_the_guard(url)
    with pytest.raises(Unverified, match="address in the request: wanted"):
        Fetching(lambda: 0).certificate(url)
    with pytest.raises(Unverified):
        Fetching(lambda: 0).confirm(url)


def test_nobody_there_is_no_verdict() -> None:
    with pytest.raises(Backpressure, match="got no answer"):
        Fetching(lambda: 0, GET).certificate("https://127.0.0.1:9/")
