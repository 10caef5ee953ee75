"""Damage to the log's file: what is lost is named to the offset, nothing else is, and nothing lost is read."""

import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from eventlog.about import lost, read_about
from eventlog.port import LOST, EventLog, Message, Record, present
from eventlog.sqlite import SqliteEventLog
from eventlog.sqlite_repair import Loss, check, repair
from schemas import topics
from schemas.errors import Backpressure, Broken, Conflict, Damaged, SimorghError

Written = dict[tuple[str, int], list[Message]]
"""Topic and partition -> what was appended, in order."""

NOW = 1_800_000_000_000
OF_TEST = (topics.EVENTS, topics.REGISTRY)


def write(path: Path, seed: int, *, small: int, large: int) -> Written:
    """A log of `small` appends of a few records and `large` ones of many, closed."""
    chance = random.Random(seed)
    log = SqliteEventLog(path)
    for _ in range(small):
        for topic in OF_TEST:
            log.append(topic, messages(chance, chance.randint(1, 3), 200))
    for _ in range(large):
        log.append(topics.EVENTS, messages(chance, 1200, 700))
    log.commit("readers", {topics.EVENTS: dict(enumerate(log.ends(topics.EVENTS)))})
    written = {
        (topic, n): [(r.key, r.value) for r in log.read(topic, n, 0, end)]
        for topic in OF_TEST
        for n, end in enumerate(log.ends(topic))
    }
    log.close()
    return written


def messages(chance: random.Random, count: int, size: int) -> list[Message]:
    return [(chance.randbytes(8), chance.randbytes(chance.randint(0, size))) for _ in range(count)]


def flip(path: Path, seed: int, length: int = 200) -> None:
    """XOR some bytes in one place behind the first page, which says what the file is."""
    chance = random.Random(seed)
    with path.open("r+b") as file:
        at = chance.randrange(16 * 1024, path.stat().st_size - length)
        file.seek(at)
        was = file.read(length)
        file.seek(at)
        file.write(bytes(byte ^ chance.randrange(1, 256) for byte in was))


def read_over(log: EventLog, topic: str, partition: int) -> tuple[list[Record], set[int]]:
    """All that can be read, and the offsets that cannot, by going on after each `Damaged`."""
    records: list[Record] = []
    lost: set[int] = set()
    offset, end = 0, log.ends(topic)[partition]
    while offset < end:
        found, damage = read_or_damage(log, topic, partition, offset)
        records += found
        if damage:
            assert (damage.topic, damage.partition, damage.first) == (topic, partition, offset)
            assert offset <= damage.last < end
            lost |= set(range(damage.first, damage.last + 1))
        offset = damage.last + 1 if damage else found[-1].offset + 1
    return records, lost


def read_or_damage(log: EventLog, topic: str, partition: int, offset: int) -> tuple[list[Record], Damaged | None]:
    try:
        return log.read(topic, partition, offset, 1000), None
    except Damaged as damage:
        return [], damage


def check_opens(path: Path) -> bool:
    """Whether the log can be opened; else one line says what to do."""
    try:
        SqliteEventLog(path).close()
        return True
    except Broken as error:
        said = error.message
    assert "\n" not in said
    assert "doctor --repair" in said
    return False


KINDS = {"small chunks": {"small": 300, "large": 0}, "large chunks": {"small": 3, "large": 4}}


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Written]]:
    """One of each kind, to be copied."""
    paths = {kind: tmp_path_factory.mktemp("logs") / "log.sqlite" for kind in KINDS}
    return {kind: (path, write(path, 7, **KINDS[kind])) for kind, path in paths.items()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(20))
def test_flipped_bytes_are_named_and_repaired(
    tmp_path: Path, logs: dict[str, tuple[Path, Written]], kind: str, seed: int
) -> None:
    whole, written = logs[kind]
    path = tmp_path / "log.sqlite"
    shutil.copy(whole, path)
    flip(path, seed)
    findings = check(path)
    if check_opens(path):
        check_reading(path, written, findings.losses)
    done = repair(path, NOW)
    assert done.findings == findings
    assert done.kept.exists()
    check_repaired(path, written, done.findings.losses)


def check_reading(path: Path, written: Written, losses: list[Loss]) -> None:
    """What is read is what was written, and what cannot be read is what was found to be lost."""
    named = {(loss.place.topic, loss.place.partition, n) for loss in losses for n in loss.offsets}
    with closing(SqliteEventLog(path)) as log:
        for (topic, partition), sent in written.items():
            records, lost = read_over(log, topic, partition)
            assert all((r.key, r.value) == sent[r.offset] for r in records)
            assert lost | {r.offset for r in records} == set(range(log.ends(topic)[partition]))
            assert {n for t, p, n in named if (t, p) == (topic, partition)} == lost


def check_repaired(path: Path, written: Written, losses: list[Loss]) -> None:
    assert check(path).lines() == []
    with closing(SqliteEventLog(path)) as log:
        for (topic, partition), sent in written.items():
            end = log.ends(topic)[partition]
            records = log.read(topic, partition, 0, end)
            assert [r.offset for r in records] == list(range(end))
            assert all((r.key, r.value) == sent[r.offset] for r in present(records))
            here = [loss.offsets for loss in losses if loss.place == (topic, partition)]
            assert [r.offset for r in records if r.value == LOST] == [n for offsets in here for n in offsets]
        assert log.append(topics.REGISTRY, [(b"k", b"v")])[0][1] == len(written[topics.REGISTRY, 0]) or losses


def test_one_flipped_bit_loses_one_chunk(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    log = SqliteEventLog(path)
    for number in range(100):
        log.append(topics.REGISTRY, [(b"k", b"%05d" % number)] * 2)
    log.close()
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"0003700037"[:5] + b"k" + b"00037", b"00037k00036"))
    [loss] = check(path).losses
    assert str(loss) == "simorgh.registry, partition 0, offsets 74 to 75: 2 records are lost"
    log = SqliteEventLog(path)
    assert [r.offset for r in log.read(topics.REGISTRY, 0, 0, 1000)] == list(range(74))  # up to the damage
    with pytest.raises(Damaged, match="offsets 75 to 75"):
        log.read(topics.REGISTRY, 0, 75, 10)
    assert [r.offset for r in log.read(topics.REGISTRY, 0, 76, 1000)] == list(range(76, 200))
    with pytest.raises(Conflict):
        repair(path, NOW)
    assert [str(loss)] == check(path).lines()  # also beside who has it open
    log.close()
    kept = repair(path, NOW).kept
    assert kept.name == "log.sqlite.damaged-1"
    assert b"00037k00036" in kept.read_bytes()
    with closing(SqliteEventLog(path)) as log:
        assert [r.offset for r in log.read(topics.REGISTRY, 0, 0, 1000) if r.value == LOST] == [74, 75]
        assert lost(read_about(log)) == {"simorgh.registry/0/74-75": NOW}


DAMAGE: dict[str, tuple[str, int]] = {
    "one record more": ('UPDATE "simorgh.registry/0" SET count = 4 WHERE first = 3', 3),
    "another offset": ('UPDATE "simorgh.registry/0" SET first = 1000000 WHERE first = 3', 3),
    "an offset before": ('UPDATE "simorgh.registry/0" SET first = 4 WHERE first = 3', 3),
    "another time": ('UPDATE "simorgh.registry/0" SET at = at + 1 WHERE first = 3', 3),
    "a row gone": ('DELETE FROM "simorgh.registry/0" WHERE first = 3', 3),
    "a text": ("UPDATE \"simorgh.registry/0\" SET body = 'text' WHERE first = 3", 3),
    "a text that is no UTF-8": ("UPDATE \"simorgh.registry/0\" SET body = CAST(x'ff' AS TEXT) WHERE first = 3", 3),
    "nothing": ('UPDATE "simorgh.registry/0" SET body = zeroblob(0) WHERE first = 3', 3),
    "no number": ("UPDATE \"simorgh.registry/0\" SET count = 'x' WHERE first = 3", 3),
    "a chunk of another topic": (
        'INSERT OR REPLACE INTO "simorgh.registry/0" SELECT * FROM "simorgh.identity/0" WHERE first = 3',
        3,
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_whatever_changed_in_a_chunk_is_seen(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "log.sqlite"
    log = SqliteEventLog(path, clock=lambda: 1_700_000_000_000)
    for number in range(4):
        for topic in (topics.REGISTRY, topics.IDENTITY):
            log.append(topic, [(b"k", b"v%d" % number)] * 3)
    log.close()
    sql, first = DAMAGE[damage]
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(sql)
    with closing(SqliteEventLog(path)) as log:
        records, lost = read_over(log, topics.REGISTRY, 0)
        assert {n for n in lost if n < 12} == {first, first + 1, first + 2}
        assert [r.value for r in records] == [b"v%d" % (r.offset // 3) for r in records]
        [end] = log.ends(topics.REGISTRY)
        assert end == 12 or damage == "another offset"  # then it may have been one beyond the last
    repair(path, NOW)
    with closing(SqliteEventLog(path)) as log:
        assert [r.offset for r in log.read(topics.REGISTRY, 0, 0, 999)] == list(range(end))


def test_a_damaged_end_reuses_no_offset(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    log = SqliteEventLog(path)
    log.append(topics.REGISTRY, [(b"k", b"v")] * 3)
    log.append(topics.REGISTRY, [(b"k", b"w")] * 3)
    log.close()
    for sql, end in (("SET at = 1", 6), ("SET count = 9999999", 503)):
        with closing(sqlite3.connect(path)) as db, db:
            db.execute(f'UPDATE "simorgh.registry/0" {sql} WHERE first = 3')
        with closing(SqliteEventLog(path)) as log:
            assert log.ends(topics.REGISTRY) == [end]
    with closing(SqliteEventLog(path)) as log:
        assert log.append(topics.REGISTRY, [(b"k", b"x")]) == [(0, 503)]
        records, lost = read_over(log, topics.REGISTRY, 0)
        assert ([r.offset for r in records], lost) == ([0, 1, 2, 503], set(range(3, 503)))


@pytest.mark.parametrize("left", [0.5, 0.9, 0.99])
def test_a_file_cut_short_is_one_line_and_can_be_repaired(tmp_path: Path, left: float) -> None:
    path = tmp_path / "log.sqlite"
    written = write(path, 1, small=50, large=2)
    os.truncate(path, int(path.stat().st_size * left))
    check_opens(path)
    done = repair(path, NOW)
    assert done.findings.lines()
    check_repaired(path, written, done.findings.losses)


def test_a_changed_position_is_seen_and_becomes_the_end(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    with closing(SqliteEventLog(path)) as log:
        log.append(topics.REGISTRY, [(b"k", b"v")] * 9)
        log.commit("readers", {topics.REGISTRY: {0: 5}})
        log.commit("others", {topics.REGISTRY: {0: 6}})
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE commits SET next = 7 WHERE grp = 'readers'")
    with pytest.raises(Broken, match="got 1 damaged ones"):
        SqliteEventLog(path)
    assert check(path).lines() == ["position of group readers in simorgh.registry, partition 0: lost"]
    repair(path, NOW)
    with closing(SqliteEventLog(path)) as log:
        assert log.committed("readers", topics.REGISTRY) == [9]
        assert log.committed("others", topics.REGISTRY) == [6]


def test_a_changed_list_of_topics_is_seen(tmp_path: Path) -> None:
    """With another number of partitions, copies of an event would miss each other."""
    path = tmp_path / "log.sqlite"
    SqliteEventLog(path).close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE topics SET partitions = 3 WHERE topic = 'simorgh.events'")
    with pytest.raises(Broken, match="list of topics"):
        SqliteEventLog(path)
    repair(path, NOW)
    with closing(SqliteEventLog(path)) as log:
        assert len(log.ends(topics.EVENTS)) == 2


CRASHES: dict[str, Callable[[Path], object]] = {
    "a copy half written": lambda path: path.with_name("log.sqlite.repairing").write_bytes(b"half"),
    "a second name": lambda path: os.link(path, path.with_name("log.sqlite.damaged-1")),
}


@pytest.mark.parametrize("after", CRASHES)
def test_a_repair_that_was_cut_off_is_done_again(tmp_path: Path, after: str) -> None:
    path = tmp_path / "log.sqlite"
    written = write(path, 2, small=40, large=0)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute('UPDATE "simorgh.registry/0" SET at = 1 WHERE first = 0')
    CRASHES[after](path)
    done = repair(path, NOW)
    check_repaired(path, written, done.findings.losses)


def test_what_is_missing_for_a_moment_is_not_called_damage(tmp_path: Path) -> None:
    """Such as a descriptor: then the file is as it was, and may be asked again."""
    path = tmp_path / "log.sqlite"
    with closing(SqliteEventLog(path)) as log:
        log.append(topics.REGISTRY, [(b"k", b"v")])
    log = SqliteEventLog(path)
    away = tmp_path / "away"
    path.rename(away)
    with pytest.raises(Backpressure):
        log.read(topics.REGISTRY, 0, 0, 1)
    away.rename(path)
    assert len(log.read(topics.REGISTRY, 0, 0, 1)) == 1
    log.close()


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_first_page_is_one_line_or_read_rightly(
    tmp_path: Path, logs: dict[str, tuple[Path, Written]], seed: int
) -> None:
    """It says what the file is and which tables it has: part of it nobody needs, without the rest a backup helps."""
    whole, written = logs["small chunks"]
    path = tmp_path / "log.sqlite"
    chance = random.Random(seed)
    content = bytearray(whole.read_bytes())
    length = chance.choice([1, 4, 50, 200])
    at = chance.choice([0, chance.randrange(16 * 1024 - length)])
    content[at : at + length] = chance.randbytes(length)
    path.write_bytes(content)
    try:
        log = SqliteEventLog(path)
    except SimorghError as error:
        said = error.message
    else:
        with closing(log):
            for (topic, partition), sent in written.items():
                records, lost = read_over(log, topic, partition)
                assert all((r.key, r.value) == sent[r.offset] for r in records)
                assert len(records) + len(lost) >= len(sent)
        said = ""
    assert "\n" not in said


def killed(path: Path, target: Path, appends: int) -> None:
    """A log as a kill leaves it: what was answered is in the journal only."""
    log = SqliteEventLog(path)
    for number in range(appends):
        log.append(topics.REGISTRY, [(b"k", b"number %03d" % number)])
    target.parent.mkdir()
    for end in ("", "-wal"):
        shutil.copy(path.with_name(path.name + end), target.with_name(target.name + end))
    log.close()


def test_a_sound_journal_is_taken_up(tmp_path: Path) -> None:
    path = tmp_path / "killed" / "log.sqlite"
    killed(tmp_path / "log.sqlite", path, 20)
    with closing(SqliteEventLog(path)) as log:
        assert log.ends(topics.REGISTRY) == [20]


def test_a_journal_that_ends_within_a_transaction_is_taken_up_to_it(tmp_path: Path) -> None:
    """Nobody was answered."""
    path = tmp_path / "killed" / "log.sqlite"
    killed(tmp_path / "log.sqlite", path, 20)
    journal = path.with_name("log.sqlite-wal")
    os.truncate(journal, journal.stat().st_size - 100)
    with closing(SqliteEventLog(path)) as log:
        assert log.ends(topics.REGISTRY) == [19]


def test_a_damaged_journal_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "killed" / "log.sqlite"
    killed(tmp_path / "log.sqlite", path, 20)
    journal = path.with_name("log.sqlite-wal")
    content = journal.read_bytes()
    at = content.index(b"number 012")
    journal.write_bytes(content[:at] + b"X" + content[at + 1 :])
    for _ in range(2):
        with pytest.raises(Broken, match="wanted the journal") as refused:
            SqliteEventLog(path)
        assert "\n" not in refused.value.message
    [line] = check(path).lines()
    assert line == "the last 7 appends or more are lost"
    done = repair(path, NOW)
    assert done.findings.lines() == [line]
    assert b"number 019" in done.kept.with_name(done.kept.name + "-wal").read_bytes()
    with closing(SqliteEventLog(path)) as log:
        assert [r.value for r in log.read(topics.REGISTRY, 0, 0, 99)] == [b"number %03d" % n for n in range(12)]
