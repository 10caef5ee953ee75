"""Who may tell, from anywhere in simorgh.segments: as folded from its beginning, without reading that again."""

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest

from destinations.intake import BATCH, Intake
from eventlog.fences import _CHUNK, UNCLAIMED, Fences, Term
from eventlog.port import Record
from eventlog.sqlite import SqliteEventLog
from registry.registry import Registry
from schemas import topics
from schemas.errors import Denied
from schemas.records import decode_told, encode
from tests.effort import few

MANY = 2 * _CHUNK + 700


class Counting(SqliteEventLog):
    """A log that counts the records that were read. `refuses`: positions are not for this reader to commit."""

    counted = 0
    refuses = False

    def read(self, topic: str, partition: int, offset: int, limit: int) -> list[Record]:
        records = super().read(topic, partition, offset, limit)
        self.counted += len(records)
        return records

    def commit(self, group: str, positions: dict[str, dict[int, int]]) -> None:
        if self.refuses:
            raise Denied("tests: wanted somebody who may commit")
        super().commit(group, positions)

    def reads(self, offset: int) -> int:
        """How many records it takes to know the fences before an offset; there are none."""
        before = self.counted
        assert Fences.at(self, offset).terms == {}
        return self.counted - before


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Counting]:
    made = Counting(tmp_path / "log.sqlite")
    yield made
    made.close()


def transition(number: int, owner: Sequence[int] | None = None) -> dict[str, Any]:
    told = {
        "id": f"trn_{number}",
        "segment": "claimed",  # a name that may be taken for a claim, by a careless reader
        "version": 1,
        "profile": f"{number:032x}",
        "kind": "entered",
        "at": 1,
        "entered_at": 1,
        "cause": "event",
    }
    return told | ({"owner": owner} if owner else {})


def append(log: SqliteEventLog, bodies: Sequence[dict[str, Any]]) -> int:
    """The end then."""
    return log.append(topics.SEGMENTS, [(b"key", orjson.dumps(body)) for body in bodies])[-1][1] + 1


def tell(log: SqliteEventLog, number: int) -> int:
    return append(log, [transition(n) for n in range(number)])


def claim(log: SqliteEventLog, part: int, term: Term) -> None:
    end = log.ends(topics.SEGMENTS)[0]
    log.append(topics.SEGMENTS, [(b"claim", encode(Fences.at(log, end).claim(part, term, end)))])


def unclaimed(log: SqliteEventLog) -> int:
    return log.committed(UNCLAIMED, topics.SEGMENTS)[0]


def test_what_was_looked_through_is_not_read_again(log: Counting, tmp_path: Path) -> None:
    end = tell(log, MANY)
    assert log.reads(end) == MANY
    assert [log.reads(offset) for offset in (end, end - 1, 1, 0)] == [0, 0, 0, 0]
    end = tell(log, 9)
    assert log.reads(end) == 9
    log.close()
    with_next_start = Counting(tmp_path / "log.sqlite")
    assert with_next_start.reads(end) == 9
    with_next_start.close()


def test_little_is_read_again_rather_than_committed(log: Counting) -> None:
    end = tell(log, _CHUNK - 1)
    assert (log.reads(end), log.reads(end), unclaimed(log)) == (end, end, 0)


def test_who_may_not_commit_reads_the_same(log: Counting) -> None:
    end = tell(log, MANY)
    log.refuses = True
    assert (log.reads(end), log.reads(end), unclaimed(log)) == (MANY, MANY, 0)


def test_a_position_that_goes_back_is_true(log: Counting) -> None:
    end = tell(log, MANY)
    log.reads(end)
    log.commit(UNCLAIMED, {topics.SEGMENTS: {0: 100}})
    assert (log.reads(end), log.reads(end)) == (MANY - 100, 0)


def test_a_claim_is_found_behind_what_had_none(log: Counting) -> None:
    log.reads(tell(log, MANY))
    claim(log, 3, (7, 0))
    end = tell(log, 5)
    log.counted = 0
    assert Fences.at(log, end).terms == {3: (7, 0)}
    assert log.counted < 20, "back to the claim, and from there on"
    tell(log, MANY)
    assert Fences.at(log, log.ends(topics.SEGMENTS)[0]).terms == {3: (7, 0)}
    assert unclaimed(log) == MANY


def test_who_follows_the_topic_says_so_for_the_next_start(log: Counting) -> None:
    """A box that runs for a year: triggers read on, and nobody looks back meanwhile."""
    registry = Registry(log, lambda: 1)
    intake = Intake(
        log,
        registry,
        lambda _: {},
        lambda purpose, profiles: set(),
        lambda: 1,
        reached=lambda _: None,
        known=set(),
        shown=lambda: log.ends(topics.SEGMENTS),
    )
    end = tell(log, MANY)
    while intake.positions[0] < end:
        intake.take()
    assert log.reads(end) < _CHUNK + BATCH


@pytest.mark.parametrize("seed", few([1], range(3)))
def test_from_anywhere_it_is_the_fold_from_the_beginning(log: Counting, seed: int) -> None:
    """Boxes' transitions, then claims and owners' transitions at random; several readers at once meanwhile."""
    r = random.Random(seed)
    tell(log, r.choice((1, 10, MANY)))
    terms = dict.fromkeys(range(3), (1, 0))
    with ThreadPoolExecutor(4) as readers:
        for _ in range(12):
            ends = [r.randint(0, log.ends(topics.SEGMENTS)[0]) for _ in range(4)]
            list(readers.map(lambda end: Fences.at(log, end), ends))
            part = r.randrange(3)
            if r.random() < 0.4:
                terms[part] = (terms[part][0] + r.randint(0, 1), terms[part][1] + 1)
                claim(log, part, terms[part])
            else:
                tell(log, r.choice((1, 40, _CHUNK)))
                append(log, [transition(0, [part, *terms[part]])])
    assert_fold(log, r)


def assert_fold(log: SqliteEventLog, r: random.Random) -> None:
    records = log.read(topics.SEGMENTS, 0, 0, 10**6)
    claims = [record.offset for record in records if b'"upto"' in record.value]
    looked_at = {*r.sample(range(len(records)), 20), *claims, *(offset + 1 for offset in claims)}
    fold = Fences()
    for record in records:
        if record.offset in looked_at:
            assert Fences.at(log, record.offset).terms == fold.terms
        fold.hears(decode_told(record.value))
    assert unclaimed(log) <= (claims[0] if claims else len(records))
