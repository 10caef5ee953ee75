"""The audit's chains: what was written is found in order, and whatever somebody does to it is found."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from eventlog.port import Message, RecordLog
from eventlog.sqlite import SqliteEventLog
from privacy.audit import LATE_SECONDS, Auditor
from privacy.chain import Chain, Checked, check, key_of, mark_of
from schemas.errors import Backpressure
from schemas.records import AuditEntry, decode_audit
from schemas.topics import AUDIT

SECRET = b"0123456789abcdef"
KEY = key_of(SECRET)


def entry(n: int = 0) -> AuditEntry:
    return AuditEntry(
        chain="",
        n=0,
        before="",
        at=1_700_000_000_000 + n,
        token="t",
        action="profiles.view",
        request=f"{n:032x}",
        hash="",
    )


@pytest.fixture
def open_log(tmp_path: Path) -> Iterator[Callable[[str], SqliteEventLog]]:
    logs: list[SqliteEventLog] = []

    def make(name: str) -> SqliteEventLog:
        logs.append(SqliteEventLog(tmp_path / name))
        return logs[-1]

    yield make
    for log in logs:
        log.close()


def written(log: RecordLog, chains: int = 3, each: int = 5) -> list[Message]:
    """A topic of several chains, one after the other, as processes that were restarted write it."""
    for number in range(chains):
        chain = Chain.begin(log, KEY, f"{number:032x}")
        log.append(AUDIT, [(b"c", chain.next(entry(n))) for n in range(each)])
    return [(record.key, record.value) for record in log.read(AUDIT, 0, 0, 1000)]


def checked(log: RecordLog) -> Checked:
    """In steps as small as they get: what is carried from one to the next must be enough."""
    done = check(log, KEY, Checked(), 1_000)
    stepwise = Checked()
    while stepwise.offset < log.ends(AUDIT)[0]:
        stepwise = check(log, KEY, stepwise, 2)
    assert stepwise == done
    return done


def test_what_was_written_is_in_order(open_log: Callable[[str], SqliteEventLog]) -> None:
    log = open_log("log")
    messages = written(log)
    done = checked(log)
    assert (done.entries, done.chains, done.broken, done.faults) == (15, 3, 0, ())
    assert done.head == mark_of(KEY, messages[-1][1])


def test_writers_at_the_same_time_are_in_order(open_log: Callable[[str], SqliteEventLog]) -> None:
    log = open_log("log")
    auditors = [Auditor(log, SECRET) for _ in range(4)]
    for future in [auditors[n % 4].record(entry(n)) for n in range(200)]:
        future.result(10)
    done = checked(log)
    assert (done.entries, done.chains, done.broken) == (200, 4, 0)
    assert {decode_audit(record.value).request for record in log.read(AUDIT, 0, 0, 200)} == {
        entry(n).request for n in range(200)
    }


def _changed(messages: list[Message], at: int) -> list[Message]:
    key, value = messages[at]
    return [*messages[:at], (key, value.replace(b'"token":"t"', b'"token":"u"')), *messages[at + 1 :]]


TAMPERED: dict[str, tuple[Callable[[list[Message]], list[Message]], int]] = {
    "one removed": (lambda m: m[:6] + m[7:], 6),
    "the first removed": (lambda m: m[1:], 0),
    "the last of a chain removed": (lambda m: m[:9] + m[10:], 9),
    "a whole chain removed": (lambda m: m[:5] + m[10:], 5),
    "the first chain removed": (lambda m: m[5:], 0),
    "one changed": (lambda m: _changed(m, 7), 7),
    "the last one changed": (lambda m: _changed(m, 14), 14),
    "two changed places": (lambda m: [*m[:6], m[7], m[6], *m[8:]], 6),
    "chains changed places": (lambda m: m[5:10] + m[:5] + m[10:], 0),
    "one repeated": (lambda m: [*m[:8], m[6], *m[8:]], 8),
    "one of another secret inserted": (
        lambda m: [*m[:8], (b"c", Chain(key_of(b"f" * 16), "f" * 32, "", None).next(entry())), *m[8:]],
        8,
    ),
    "garbage inserted": (lambda m: [*m[:8], (b"c", b"{}"), *m[8:]], 8),
    "bytes that are no text inserted": (lambda m: [*m[:8], (b"", b"\xff\x00"), *m[8:]], 8),
}


@pytest.mark.parametrize("case", TAMPERED)
def test_the_first_broken_place_is_named(open_log: Callable[[str], SqliteEventLog], case: str) -> None:
    tamper, place = TAMPERED[case]
    messages = written(open_log("log"))
    log = open_log("tampered")
    log.append(AUDIT, tamper(messages))
    done = checked(log)
    assert done.broken
    assert done.faults[0].offset == place, done.faults


def test_a_missing_end_shows_against_a_head_that_was_noted(open_log: Callable[[str], SqliteEventLog]) -> None:
    messages = written(open_log("log"))
    log = open_log("cut")
    log.append(AUDIT, messages[:-2])
    done = checked(log)
    assert not done.broken
    assert done.head != mark_of(KEY, messages[-1][1])


def test_another_secret_finds_nothing_in_order(open_log: Callable[[str], SqliteEventLog]) -> None:
    log = open_log("log")
    written(log, chains=1, each=3)
    assert check(log, key_of(b"another secret.."), Checked(), 100).broken == 3


class Refusing(SqliteEventLog):
    """A log whose disk is full for a while: what it refuses may have left something, as on Kafka."""

    left = 0
    refuses = False

    def submit(self, writes):  # type: ignore[no-untyped-def]
        if not self.refuses:
            return super().submit(writes)
        [(topic, messages)] = writes
        super().submit([(topic, messages[: self.left])]).result()
        refused: Future[None] = Future()
        refused.set_exception(Backpressure("log: wanted room, got none; free some"))
        return refused


@pytest.mark.parametrize("left", [0, 1])
def test_what_the_log_refuses_fails_and_the_chains_stay_whole(tmp_path: Path, left: int) -> None:
    log = Refusing(tmp_path / "log")
    try:
        auditor = Auditor(log, SECRET)
        auditor.record(entry(0)).result(10)
        log.refuses, log.left = True, left
        with pytest.raises(Backpressure) as raised:
            auditor.record(entry(1)).result(10)
        assert raised.value.code == "audit_unavailable"
        log.refuses = False
        auditor.record(entry(2)).result(10)
        auditor.record(entry(3)).result(10)
        done = checked(log)
        assert (done.entries, done.chains, done.broken) == (3 + left, 2, 0)
    finally:
        log.close()


class Counting(SqliteEventLog):
    """Counts what is written together; `hangs`: never says that it is."""

    batches = 0
    hangs = False

    def submit(self, writes):  # type: ignore[no-untyped-def]
        self.batches += 1
        return Future[None]() if self.hangs else super().submit(writes)


def test_entries_that_nobody_waits_for_are_written_together_and_in_order(tmp_path: Path) -> None:
    log = Counting(tmp_path / "log")
    try:
        auditor = Auditor(log, SECRET)
        first = auditor.gather(entry(0))
        assert first is not None, "who knows whether the log takes anything"
        first.result(10)
        assert [auditor.gather(entry(n)) for n in range(1, 501)] == [None] * 500
        auditor.record(entry(501)).result(10)
        assert auditor.gather(entry(502)) is None
        auditor.settled().result(10)
        assert auditor.settled().done()
        assert log.batches < 50
        assert [decode_audit(record.value).request for record in log.read(AUDIT, 0, 0, 1_000)] == [
            entry(n).request for n in range(503)
        ]
        assert not checked(log).broken
    finally:
        log.close()


def test_whoever_reads_waits_while_the_log_is_late_or_refuses(tmp_path: Path) -> None:
    late, refusing = Counting(tmp_path / "late"), Refusing(tmp_path / "refusing")
    now = 0.0
    try:
        auditor = Auditor(late, SECRET, clock=lambda: now)
        auditor.record(entry(0)).result(10)
        late.hangs = True
        auditor.record(entry(1))
        assert auditor.gather(entry(2)) is None
        now = LATE_SECONDS
        assert auditor.gather(entry(3)) is not None
        auditor = Auditor(refusing, SECRET)
        auditor.record(entry(0)).result(10)
        refusing.refuses = True
        assert auditor.gather(entry(1)) is None
        auditor.settled().exception(10)  # it may have failed before
        again = auditor.gather(entry(2))
        assert again is not None
        assert isinstance(again.exception(10), Backpressure)
        refusing.refuses = False
        again = auditor.gather(entry(3))
        assert again is not None
        again.result(10)
        assert auditor.gather(entry(4)) is None
    finally:
        late.close()
        refusing.close()


def test_what_nobody_waits_for_any_more_is_left_out(tmp_path: Path) -> None:
    log = SqliteEventLog(tmp_path / "log")
    try:
        auditor = Auditor(log, SECRET)
        futures = [auditor.record(entry(n)) for n in range(50)]
        cancelled = [future for future in futures[1::2] if future.cancel()]
        for future in futures[::2]:
            future.result(10)
        auditor.record(entry(50)).result(10)
        assert log.ends(AUDIT) == [51 - len(cancelled)]
        assert not checked(log).broken
    finally:
        log.close()


def test_threads_at_once_keep_the_chain_whole(tmp_path: Path) -> None:
    log = SqliteEventLog(tmp_path / "log")
    try:
        auditor = Auditor(log, SECRET)

        def many(first: int) -> None:
            for n in range(first, first + 100):
                auditor.record(entry(n)).result(10)

        threads = [threading.Thread(target=many, args=(1_000 * number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        done = checked(log)
        assert (done.entries, done.chains, done.broken) == (400, 1, 0)
    finally:
        log.close()


def test_a_flood_is_bounded(tmp_path: Path) -> None:
    log = SqliteEventLog(tmp_path / "log")
    log.close()
    auditor = Auditor(log, SECRET, most=0)
    with pytest.raises(Backpressure):
        auditor.record(entry())
