"""chDB behind the bridge: one request's statement, run with that request's own settings."""

import re
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import chdb

from tests.clickhouse.statements import Insert, one_statement, parse_insert, writes_a_file, yields_rows

_IDLE = 64
_CODE = re.compile(r"Code: (\d+)\.")
_CHANGES_SESSION = re.compile(rb"\s*(SET|USE)\b", re.IGNORECASE)


class Refused(Exception):
    """What a server answers as an exception: its number and its text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class Request:
    """One call. `settings` in the order in which they came; `fixed` are those of the user's profile."""

    statement: bytes
    database: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    session: str = ""
    default_format: str = "TabSeparated"

    @property
    def key(self) -> tuple[Any, ...]:
        return (self.database, *self.fixed.items(), *self.settings.items())


@dataclass(frozen=True)
class Answer:
    body: bytes
    format: str | None
    summary: dict[str, str]


class Engine:
    """Runs requests side by side, each on a connection of its own with exactly its settings."""

    def __init__(self, data: Path) -> None:
        self._path = str(data)
        self._anchor = _open(self._path)  # the engine lives as long as one connection does
        self._idle: dict[tuple[Any, ...], list[Any]] = {}
        self._sessions: dict[str, tuple[Any, threading.Lock]] = {}
        self._lock = threading.Lock()
        version, zone = self._anchor.query("SELECT version(), timezone()").bytes().decode().strip().split(",")
        self.version, self.timezone = version.strip('"'), zone.strip('"')

    def run(self, request: Request) -> Answer:
        """Raises `Refused` as a server would answer."""
        insert = parse_insert(request.statement)
        if insert is None and not one_statement(request.statement):
            raise Refused(62, "Code: 62. DB::Exception: Multi-statements are not allowed. (SYNTAX_ERROR)")
        if insert is None and writes_a_file(request.statement):
            raise Refused(358, "Code: 358. DB::Exception: INTO OUTFILE is not allowed. (INTO_OUTFILE_NOT_ALLOWED)")
        if request.session:
            return self._in_session(request, insert)
        connection = self._take(request)
        try:
            answer = _execute(connection, request, insert)
        except Refused:
            connection.close()  # it may still hold what the query had begun to answer
            raise
        self._give_back(request, connection)
        return answer

    def close(self) -> None:
        with self._lock:
            for connection in [one for found in self._idle.values() for one in found]:
                connection.close()
            for connection, _ in self._sessions.values():
                connection.close()
        self._anchor.close()

    def _in_session(self, request: Request, insert: Insert | None) -> Answer:
        with self._lock:
            if request.session not in self._sessions:
                self._sessions[request.session] = (_open(self._path), threading.Lock())
            connection, busy = self._sessions[request.session]
        if not busy.acquire(blocking=False):
            raise Refused(
                373, "Code: 373. DB::Exception: Session is locked by a concurrent client. (SESSION_IS_LOCKED)"
            )
        try:
            _prepare(connection, request)
            return _execute(connection, request, insert)
        finally:
            busy.release()

    def _take(self, request: Request) -> Any:
        with self._lock:
            idle = self._idle.get(request.key)
            if idle:
                return idle.pop()
        connection = _open(self._path)
        try:
            _prepare(connection, request)
        except Refused:
            connection.close()
            raise
        return connection

    def _give_back(self, request: Request, connection: Any) -> None:
        with self._lock:
            kept = not _CHANGES_SESSION.match(request.statement) and sum(map(len, self._idle.values())) < _IDLE
            if kept:
                self._idle.setdefault(request.key, []).append(connection)
                return
            spare = self._idle.pop(next(iter(self._idle)), []) if self._idle else []
        for one in (connection, *spare):
            one.close()


def _open(path: str) -> Any:
    open_engine: Callable[[str], Any] = chdb.connect
    return open_engine(path)


def _prepare(connection: Any, request: Request) -> None:
    if request.database:
        _query(connection, f"USE {_identifier(request.database)}")
    for name, value in (*request.fixed.items(), *_readonly_last(request.settings)):
        _query(connection, f"SET {_identifier(name)} = {_literal(value)}")


def _readonly_last(settings: Mapping[str, str]) -> list[tuple[str, str]]:
    """A server checks all settings of a request against what was before it, then applies them."""
    return sorted(settings.items(), key=lambda setting: setting[0] == "readonly")


def _execute(connection: Any, request: Request, insert: Insert | None) -> Answer:
    if insert is not None:
        return _insert(connection, insert)
    result = _query(connection, request.statement, request.default_format, request.parameters)
    summary = {"read_rows": str(result.rows_read()), "read_bytes": str(result.bytes_read())}
    chosen = yields_rows(request.statement, request.default_format)
    return Answer(result.bytes() or b"", chosen, summary)


def _insert(connection: Any, insert: Insert) -> Answer:
    with tempfile.NamedTemporaryFile(suffix=".insert") as file:
        file.write(insert.data)
        file.flush()
        source = f" FROM INFILE {_literal(file.name)}{insert.settings} FORMAT {insert.format}"
        result = _query(connection, insert.head + source)
    summary = {"written_rows": str(result.rows_read()), "written_bytes": str(result.bytes_read())}
    return Answer(b"", None, summary)


def _query(
    connection: Any, sql: str | bytes, format: str = "TabSeparated", parameters: Mapping[str, str] | None = None
) -> Any:
    try:
        return connection.query(sql, format, params=dict(parameters or {}))
    except Exception as error:
        text = str(error)
        found = _CODE.search(text)
        raise Refused(int(found[1]) if found else 1002, text[found.start() :] if found else text) from None


def _identifier(name: str) -> str:
    if not re.fullmatch(r"\w+", name):
        raise Refused(62, f"Code: 62. DB::Exception: {name!r} is no name. (SYNTAX_ERROR)")
    return f"`{name}`"


def _literal(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
