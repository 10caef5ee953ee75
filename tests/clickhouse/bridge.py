"""ClickHouse's HTTP interface in front of chDB, for tests: the real client speaks to the real engine over a socket.

    python -m tests.clickhouse.bridge --data DIR --port 0      (prints its URL; may be killed and started again)

It knows what clickhouse-connect uses: `query` in the URL, the body or a form, `param_…`, `database`, settings as URL
parameters, compressed bodies both ways, exceptions with their number, sessions, /ping. One user may be required
(`--user name:password`) and a second one given whose profile is read-only (`--reader name:password`).

`GET /bridge` tells what it was asked; `POST /bridge` makes it ill (see `Illness`).
"""

import argparse
import base64
import gzip
import json
import signal
import threading
import time
import uuid
import zlib
from dataclasses import asdict, dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import lz4.frame

from tests.clickhouse.engine import Answer, Engine, Refused, Request

# The names of the HTTP interface itself; every other parameter is a setting.
_OWN_NAMES = {
    *("query", "database", "user", "password", "quota_key", "query_id", "session_id", "session_timeout"),
    *("session_check", "close_session", "default_format", "compress", "decompress", "buffer_size", "stacktrace"),
    *("wait_end_of_query", "client_protocol_version", "role"),
}
_LONGEST_FIELD = 128 * 1024  # http_max_field_value_size
_STATUS = {159: 408, 62: 400, 36: 400, 115: 400, 516: 403, 497: 403, 60: 404, 81: 404, 164: 500, 202: 503}
_UNPACK = {
    "": bytes,
    "identity": bytes,
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
    "lz4": lz4.frame.decompress,
}


@dataclass(frozen=True)
class Illness:
    """`delay`: seconds before each query. `refuse`: connections are cut unanswered. `lose_answers`: so many of the next
    inserts are carried out, and their connections cut before the answer.
    """

    delay: float = 0.0
    refuse: bool = False
    lose_answers: int = 0


@dataclass
class Asked:
    queries: int = 0
    inserts: int = 0


class Bridge(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, data: Path, port: int, users: dict[str, str], reader: str) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.engine = Engine(data)
        self.users = users
        self.reader = reader
        self.illness = Illness()
        self.asked = Asked()
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def loses(self) -> bool:
        """Whether this insert's answer is lost."""
        with self.lock:
            left = self.illness.lose_answers
            self.illness = replace(self.illness, lose_answers=max(0, left - 1))
            return left > 0

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: Bridge
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body leave in one piece
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/bridge":
            self._send(200, json.dumps(asdict(self.server.asked)).encode(), {})
        elif self.server.illness.refuse:
            self._cut()
        elif path == "/ping" or not urlsplit(self.path).query:
            self._send(200, b"Ok.\n", {})
        else:
            self._serve(b"")

    def do_POST(self) -> None:
        body = self._body()
        if urlsplit(self.path).path == "/bridge":
            self.server.illness = Illness(**json.loads(body))
            self._send(200, b"", {})
        elif self.server.illness.refuse:
            self._cut()
        else:
            self._serve(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    # ---- one query

    def _serve(self, body: bytes) -> None:
        time.sleep(self.server.illness.delay)
        try:
            request = self._request(body)
            answer = self.server.engine.run(request)
        except Refused as error:
            headers = {"X-ClickHouse-Exception-Code": str(error.code)}
            self._send(_STATUS.get(error.code, 500), str(error).encode(), headers)
            return
        wrote = "written_rows" in answer.summary
        with self.server.lock:
            self.server.asked.queries += 1
            self.server.asked.inserts += wrote
        if wrote and self.server.loses():
            self._cut()
            return
        self._answer(request, answer)

    def _answer(self, request: Request, answer: Answer) -> None:
        headers = {
            "X-ClickHouse-Summary": json.dumps(answer.summary),
            "X-ClickHouse-Query-Id": str(uuid.uuid4()),
            "X-ClickHouse-Timezone": self.server.engine.timezone,
        }
        if answer.format:
            headers["X-ClickHouse-Format"] = answer.format
        body = answer.body
        if request.settings.get("enable_http_compression") == "1" and "lz4" in self.headers.get("Accept-Encoding", ""):
            headers["Content-Encoding"] = "lz4"
            body = lz4.frame.compress(body)
        self._send(200, body, headers)

    def _request(self, body: bytes) -> Request:
        named = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        kind = self.headers.get("Content-Type", "")
        if kind.startswith("multipart/form-data"):
            named |= _form(body, kind)
            body = b""
        statement = b"\n".join(part for part in (named.get("query", "").encode(), body) if part)
        settings = {n: v for n, v in named.items() if n not in _OWN_NAMES and not n.startswith("param_")}
        if self.command == "GET":
            settings.setdefault("readonly", "2")
        return Request(
            statement,
            named.get("database", ""),
            settings,
            self._profile(),
            {n.removeprefix("param_"): v for n, v in named.items() if n.startswith("param_")},
            named.get("session_id", ""),
            named.get("default_format", "TabSeparated"),
        )

    def _profile(self) -> dict[str, str]:
        """The settings that the user's profile fixes; refuses strangers."""
        if not self.server.users:
            return {}
        scheme, _, code = self.headers.get("Authorization", "").partition(" ")
        name, _, password = base64.b64decode(code if scheme == "Basic" else "").decode().partition(":")
        if self.server.users.get(name) != password:
            text = f"Code: 516. DB::Exception: {name}: Authentication failed. (AUTHENTICATION_FAILED)"
            raise Refused(516, text)
        return {"final": "1", "readonly": "1"} if name == self.server.reader else {}

    # ---- the wire

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            raw = b"".join(iter(self._chunk, b""))
        else:
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body: bytes = _UNPACK[self.headers.get("Content-Encoding", "")](raw)
        return body

    def _chunk(self) -> bytes:
        size = int(self.rfile.readline().split(b";")[0], 16)
        data = self.rfile.read(size)
        self.rfile.readline()
        return data

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def _cut(self) -> None:
        self.close_connection = True


def _form(body: bytes, kind: str) -> dict[str, str]:
    """The plain fields of a multipart body."""
    boundary = b"--" + kind.split("boundary=")[1].strip('"').encode()
    found = {}
    for part in body.split(boundary)[1:-1]:
        head, _, value = part.partition(b"\r\n\r\n")
        name = head.split(b'name="')[1].split(b'"')[0]
        if len(value) > _LONGEST_FIELD:
            raise Refused(1000, "Code: 1000. DB::Exception: Field value too long. (POCO_EXCEPTION)")
        found[name.decode()] = value.removesuffix(b"\r\n").decode()
    return found


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--port", type=int, default=0)
    arguments.add_argument("--user", default="", help="name:password")
    arguments.add_argument("--reader", default="", help="name:password of a user with readonly = 1")
    given = arguments.parse_args()
    users = dict(pair.split(":", 1) for pair in (given.user, given.reader) if pair)
    given.data.mkdir(parents=True, exist_ok=True)
    bridge = Bridge(given.data, given.port, users, given.reader.split(":")[0])
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=bridge.shutdown).start())
    print(bridge.url, flush=True)
    bridge.serve_forever()
    bridge.engine.close()


if __name__ == "__main__":
    main()
