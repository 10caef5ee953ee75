"""The program's own log lines, on stderr: time, level, stage, what happened. As text, or as JSON.

A fault is written once and then counted: repetitions within a minute become one line at its end, "again 12 times in 60
s". That applies to our own lines from WARNING on, and to all lines of libraries.

Lines never hold a customer's value. Our own messages have none by rule; an exception that is not ours may quote one in
its text, so of that only the type and the place are shown (below INFO, its text too).
"""

import logging
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import orjson

from schemas.errors import Broken, SimorghError
from simorgh.settings import Settings

WINDOW: Final = 60.0
"""Seconds in which repetitions are only counted."""

_MOST_KEYS: Final = 1_000

_OURS: Final[Mapping[str, str]] = {
    "destinations": "triggers",
    "stream_processors.host.box": "projections",
    "stream_processors.host.replay": "replay",
    "stream_processors.host.keeper": "triggers",
    "stream_processors.host": "worker",
    "stream_processors.flow.profiles": "profiles",
    "stream_processors.flow.identity": "identity",
    "stream_processors": "projections",
    "producers": "collect",
    "profile_api": "api",
    "eventlog": "log",
    "privacy": "privacy",
    "registry": "declarations",
    "warehouse": "warehouse",
    "identity": "identity",
    "schemas": "schemas",
    "simorgh": "simorgh",
}
"""The stage that a line is of, by its logger; the longest name that fits."""

_LIBRARIES: Final[Mapping[str, str]] = {
    "kafka": "kafka",
    "aiokafka": "kafka",
    "confluent_kafka": "kafka",
    "faust": "worker",
    "mode": "worker",
    "uvicorn": "http",
    "asyncio": "http",
    "clickhouse_connect": "warehouse",
    "urllib3": "warehouse",
    "httpx": "http",
}

_OUTSIDE: Final = (SimorghError, OSError)
"""Their texts are for people and contain no customer's data."""

_VARYING: Final = re.compile(r"0x[0-9a-f]+|\d+(\.\d+)?")


def begin(settings: Settings, stream: TextIO | None = None) -> None:
    """Write the lines of this process from now on, instead of any earlier setup."""
    level = logging.getLevelNamesMapping()[settings.log_level]
    form = Json() if settings.log_format == "json" else Text()
    handler = OnceThenCount(stream or sys.stderr, form, detailed=level < logging.INFO)
    root = logging.getLogger()
    for earlier in [one for one in root.handlers if isinstance(one, OnceThenCount)]:
        root.removeHandler(earlier)
        earlier.close()
    root.addHandler(handler)
    root.setLevel(max(level, logging.WARNING))
    for name in {name.split(".")[0] for name in _OURS}:
        logging.getLogger(name).setLevel(level)
    logging.getLogger("urllib3").setLevel(max(level, logging.ERROR))  # its warnings quote requests, values and all


def begin_of_command(settings: Settings) -> None:
    """The same for a command that somebody typed: it prints its own answers and errors, so only our own code's faults
    are written, not libraries' lines about an unreachable store."""
    if settings.log_level == "DEBUG":
        begin(settings)
        return
    begin(settings.model_copy(update={"log_level": "ERROR" if settings.log_level == "ERROR" else "WARNING"}))
    for name in ("", *_LIBRARIES):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def end() -> None:
    """Write the pending counts."""
    for handler in logging.getLogger().handlers:
        handler.flush()


# ---- one line


@dataclass(frozen=True, slots=True)
class Line:
    """`trace` is of a fault of ours: its place, without its text."""

    at: float
    level: str
    stage: str
    says: str
    trace: tuple[str, ...] = ()


class Text:
    def __call__(self, line: Line) -> str:
        first = f"{_iso(line.at)} {line.level:<7} {line.stage}: {line.says}"
        return "\n".join([first, *(f"    {row}" for row in line.trace)])


class Json:
    def __call__(self, line: Line) -> str:
        body: dict[str, Any] = {
            "time": _iso(line.at),
            "level": line.level,
            "stage": line.stage,
            "message": line.says,
        }
        if line.trace:
            body["trace"] = line.trace
        return orjson.dumps(body).decode()


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def line_of(record: logging.LogRecord, *, detailed: bool = False) -> Line:
    says = " ".join(_message(record).splitlines())
    error = record.exc_info[1] if record.exc_info else None
    trace: tuple[str, ...] = ()
    if error is not None:
        says = f"{says}: {_said(error, detailed)}"
        if detailed or not isinstance(error, _OUTSIDE) or isinstance(error, Broken):
            trace = tuple(_places(error))
    return Line(record.created, record.levelname, stage_of(record.name), says, trace)


def stage_of(logger: str) -> str:
    parts = logger.split(".")
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        if found := _OURS.get(name) or _LIBRARIES.get(name):
            return found
    return parts[0] or "simorgh"


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):
        return str(record.msg)  # a library's line that does not fit its arguments


def _said(error: BaseException, detailed: bool) -> str:
    if isinstance(error, SimorghError):
        return error.message
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {error}" if detailed else type(error).__name__


def _places(error: BaseException) -> list[str]:
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames[-12:]]


# ---- once, then counted


@dataclass(slots=True)
class _Seen:
    line: Line
    since: float
    again: int = 0


class OnceThenCount(logging.Handler):
    """Writes a fault when it is new, and how often it came again once a minute. A thread of its own sees to that."""

    def __init__(
        self,
        stream: TextIO,
        form: Callable[[Line], str],
        *,
        detailed: bool = False,
        clock: Callable[[], float] = time.monotonic,
        window: float = WINDOW,
    ) -> None:
        super().__init__()
        self._stream = stream
        self._form = form
        self._detailed = detailed
        self._clock = clock
        self._window = window
        self._seen: dict[tuple[object, ...], _Seen] = {}
        self._over = threading.Event()
        self._counter: threading.Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = line_of(record, detailed=self._detailed)
            if not _is_counted(record) or self._is_new(_key(record), line):
                self._write(line)
        except Exception:
            self.handleError(record)

    def _is_new(self, key: tuple[object, ...], line: Line) -> bool:
        now = self._clock()
        self.tell(now)
        if found := self._seen.get(key):
            found.again += 1
            found.line = line
            return False
        if len(self._seen) >= _MOST_KEYS:
            self._seen.clear()
        self._seen[key] = _Seen(line, now)
        self._count()
        return True

    def _count(self) -> None:
        """A thread that lives while there is something to count."""
        if self._counter is None:
            self._counter = threading.Thread(target=self._tell_in_time, name="log lines", daemon=True)
            self._counter.start()

    def _tell_in_time(self) -> None:
        while not self._over.wait(min(self._window, 5.0)):
            with self.lock or threading.RLock():
                self.tell(self._clock())

    def tell(self, now: float) -> None:
        """Write the counts of lines older than a minute; a later repetition is a new line."""
        for key, seen in list(self._seen.items()):
            if now - seen.since >= self._window:
                del self._seen[key]
                if seen.again:
                    self._write_again(seen, now)
                    self._seen[key] = _Seen(seen.line, now)  # it continues: keep counting

    def _write_again(self, seen: _Seen, now: float) -> None:
        times = "once" if seen.again == 1 else f"{seen.again} times"
        again = f"{seen.line.says} (again {times} in {now - seen.since:.0f} s)"
        self._write(Line(time.time(), seen.line.level, seen.line.stage, again))

    def _write(self, line: Line) -> None:
        self._stream.write(self._form(line) + "\n")
        self._stream.flush()

    def flush(self) -> None:
        with self.lock or threading.RLock():
            for seen in list(self._seen.values()):
                if seen.again:
                    self._write_again(seen, self._clock())
            self._seen.clear()

    def close(self) -> None:
        self._over.set()
        super().close()


def _is_counted(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING or _is_foreign(record.name)


def _is_foreign(logger: str) -> bool:
    """Whether a library words the lines. librdkafka's come under the name of our adapter."""
    return logger.split(".", maxsplit=1)[0] in _LIBRARIES or logger.startswith("eventlog.kafka.")


def _key(record: logging.LogRecord) -> tuple[object, ...]:
    """The identity of a line: our template with its words, without its numbers; a library's template alone."""
    error = record.exc_info[1] if record.exc_info else None
    kind = type(error).__name__ if error else ""
    if _is_foreign(record.name):
        return record.name, record.levelno, kind, _VARYING.sub("#", _message(record))[:200]
    words = [arg for arg in record.args if isinstance(arg, str)] if isinstance(record.args, tuple) else []
    return record.name, record.levelno, kind, str(record.msg), *words
