"""The program's own log lines: what they say, what they keep to themselves, and that a fault is written once."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from schemas.errors import Backpressure, Broken
from simorgh.loglines import Json, OnceThenCount, Text, line_of, stage_of


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Journal:
    """A handler of its own, its clock, and what it wrote."""

    def __init__(self, *, json: bool = False, detailed: bool = False) -> None:
        self.stream, self.clock = io.StringIO(), Clock()
        form = Json() if json else Text()
        self.handler = OnceThenCount(self.stream, form, detailed=detailed, clock=self.clock)

    def say(self, level: int, name: str, message: str, *args: object, error: BaseException | None = None) -> None:
        info = (type(error), error, error.__traceback__) if error else None
        self.handler.handle(logging.LogRecord(name, level, "file.py", 1, message, args, info))

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()


@pytest.fixture
def journal() -> Iterator[Journal]:
    made = Journal()
    yield made
    made.handler.close()


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


def test_a_line_has_time_level_stage_and_what_happened(journal: Journal) -> None:
    journal.say(logging.INFO, "destinations.stage", "delivered %d", 3)
    [line] = journal.lines
    time, level, stage, says = line.split(maxsplit=3)
    assert (len(time), time[-1], level, stage, says) == (24, "Z", "INFO", "triggers:", "delivered 3")


def test_as_json(journal: Journal) -> None:
    made = Journal(json=True)
    made.say(logging.ERROR, "simorgh.platform", "start: failed", error=raised(KeyError("sara@example.com")))
    [line] = made.lines
    told = json.loads(line)
    assert told.keys() == {"time", "level", "stage", "message", "trace"}
    assert told["message"] == "start: failed: KeyError"
    assert "in raised" in told["trace"][-1]
    made.handler.close()


def test_what_an_exception_quotes_is_not_written_but_in_detail(journal: Journal) -> None:
    error = raised(ValueError("invalid: sara@example.com"))
    journal.say(logging.ERROR, "simorgh.platform", "it failed", error=error)
    assert "sara" not in journal.stream.getvalue()
    detailed = Journal(detailed=True)
    detailed.say(logging.ERROR, "simorgh.platform", "it failed", error=error)
    assert "sara" in detailed.stream.getvalue()
    detailed.handler.close()


def test_faults_of_the_outside_have_no_trace_and_ours_have() -> None:
    def traced(error: BaseException) -> bool:
        record = logging.LogRecord("simorgh", logging.WARNING, "f", 1, "m", (), (type(error), error, None))
        record.exc_info = (type(error), raised(error), raised(error).__traceback__)
        return bool(line_of(record).trace)

    assert not traced(Backpressure("the disk is full"))
    assert not traced(OSError(28, "No space left on device"))
    assert traced(Broken("a part is missing"))
    assert traced(RuntimeError("x"))


def test_a_fault_is_written_once_and_then_counted(journal: Journal) -> None:
    for n in range(13):
        journal.clock.now = n
        journal.say(logging.WARNING, "stream_processors.host.box", "runner: failure %d in a row", n)
    assert len(journal.lines) == 1
    journal.handler.tell(60.0)
    assert len(journal.lines) == 2
    assert journal.lines[1].endswith("runner: failure 12 in a row (again 12 times in 60 s)")
    journal.handler.tell(61.0)
    journal.handler.tell(130.0)
    assert len(journal.lines) == 2, "it is over: nothing more is said"
    journal.say(logging.WARNING, "stream_processors.host.box", "runner: failure %d in a row", 1)
    assert len(journal.lines) == 3


def test_different_faults_are_different_lines(journal: Journal) -> None:
    journal.say(logging.WARNING, "stream_processors.host.lane", "%s: failed", "profiles")
    journal.say(logging.WARNING, "stream_processors.host.lane", "%s: failed", "identity")
    journal.say(logging.ERROR, "stream_processors.host.lane", "%s: failed", "identity")
    journal.say(logging.WARNING, "stream_processors.host.lane", "%s: failed", "identity", error=raised(KeyError()))
    assert len([line for line in journal.lines if "failed" in line]) == 4


def test_what_is_no_fault_is_written_each_time(journal: Journal) -> None:
    for n in range(3):
        journal.say(logging.INFO, "simorgh.counts", "the last minute: %d events", n)
    assert len(journal.lines) == 3


@pytest.mark.parametrize("name", ["kafka.conn", "aiokafka.cluster", "eventlog.kafka.confluent"])
def test_a_library_that_repeats_itself_with_other_numbers_is_one_line(journal: Journal, name: str) -> None:
    for n in range(80):
        message = f"<BrokerConnection node_id={n} at 0x{n:x}>: connect attempt returned error 111 after {n / 7} ms"
        journal.say(logging.INFO if n % 2 else logging.ERROR, name, message)
    assert len(journal.lines) == 2  # one for each level
    journal.handler.flush()
    assert len(journal.lines) == 4
    assert journal.lines[-1].endswith("(again 39 times in 0 s)")


def test_a_line_is_one_line_whatever_came(journal: Journal) -> None:
    journal.say(logging.WARNING, "uvicorn.error", "bad request:\n  %s", "a\r\nb")
    assert len(journal.lines) == 1


def test_a_line_that_does_not_fit_its_arguments(journal: Journal) -> None:
    journal.say(logging.WARNING, "kafka", "%d of %d", "x")
    assert journal.lines[0].endswith("kafka: %d of %d")


@pytest.mark.parametrize(
    ("logger", "stage"),
    [
        ("simorgh.platform", "simorgh"),
        ("destinations.stage", "triggers"),
        ("stream_processors.host.box", "projections"),
        ("stream_processors.flow.identity", "identity"),
        ("producers.router", "collect"),
        ("aiokafka.consumer.fetcher", "kafka"),
        ("some.library", "some"),
    ],
)
def test_the_stage_of_a_logger(logger: str, stage: str) -> None:
    assert stage_of(logger) == stage


def test_what_is_remembered_has_a_bound(journal: Journal) -> None:
    for n in range(3_000):
        journal.say(logging.WARNING, "simorgh", "%s failed", "x" * n)
    assert len(journal.handler._seen) <= 1_000
