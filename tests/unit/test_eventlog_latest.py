"""What the embedded log keeps in memory is what its file says."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog.chunks import pack
from eventlog.latest import MOST_BYTES, MOST_CHUNKS, Commits, Stored, Tails
from eventlog.port import Record
from eventlog.sqlite import SqliteEventLog
from schemas import topics
from tests.effort import examples


def stored(first: int, *values: bytes) -> Stored:
    [chunk] = pack([(b"k", value) for value in values])
    return Stored(first, 7, chunk)


def firsts(found: Sequence[Stored] | None) -> list[int] | None:
    return None if found is None else [one.first for one in found]


def test_a_tail_holds_what_it_was_given_and_says_what_it_has_not() -> None:
    tails = Tails()
    assert tails.holding("t", 0, range(5)) is None
    tails.add("t", 0, [stored(10, b"a", b"b"), stored(12, b"c"), stored(13, b"d", b"e")])
    assert tails.holding("t", 0, range(9, 20)) is None  # begins before what is here
    assert tails.holding("t", 1, range(10, 20)) is None
    assert firsts(tails.holding("t", 0, range(10, 11))) == [10]
    assert firsts(tails.holding("t", 0, range(11, 13))) == [10, 12]
    assert firsts(tails.holding("t", 0, range(12, 13))) == [12]
    assert firsts(tails.holding("t", 0, range(14, 99))) == [13]


def test_a_tail_is_bounded_by_chunks_and_bytes_and_keeps_the_newest_whatever_its_size() -> None:
    tails = Tails()
    tails.add("t", 0, [stored(n, b"v") for n in range(3 * MOST_CHUNKS)])
    assert firsts(tails.holding("t", 0, range(2 * MOST_CHUNKS, 9999))) == [*range(2 * MOST_CHUNKS, 3 * MOST_CHUNKS)]
    assert tails.holding("t", 0, range(2 * MOST_CHUNKS - 1, 9999)) is None
    large = b"x" * (MOST_BYTES // 2)
    for first in range(1000, 1005):
        tails.add("t", 0, [stored(first, large)])
    assert tails.holding("t", 0, range(1003, 1004)) is None
    assert firsts(tails.holding("t", 0, range(1004, 1005))) == [1004]
    tails.add("t", 0, [stored(1005, 4 * large)])
    assert firsts(tails.holding("t", 0, range(1005, 1006))) == [1005]


def test_commits_of_several_partitions_change_together_and_leave_the_others() -> None:
    commits = Commits([("g", "t", 0, 5), ("g", "t", 1, 6), ("h", "t", 0, 1)])
    seen = commits.of("g", "t")
    commits.set([("g", "t", 1, 7), ("g", "t", 2, 8)])
    assert seen == {0: 5, 1: 6}
    assert commits.of("g", "t") == {0: 5, 1: 7, 2: 8}
    assert commits.of("h", "t") == {0: 1}
    assert commits.of("nobody", "t") == {}


def all_reads(log: SqliteEventLog, ends: int) -> list[list[Record]]:
    spans = [(offset, limit) for offset in range(ends + 1) for limit in (1, 2, 7, ends)]
    return [log.read(topics.IDENTITY, 0, offset, limit) for offset, limit in spans]


@settings(max_examples=examples(5), deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_memory_and_file_answer_alike(tmp_path_factory: pytest.TempPathFactory, sizes: list[int]) -> None:
    """The same file opened anew has nothing in memory."""
    path = tmp_path_factory.mktemp("log") / "log.sqlite"
    log = SqliteEventLog(path)
    for size in sizes:
        log.append(topics.IDENTITY, [(b"key", b"%d" % n) for n in range(size)])
        log.commit("g", {topics.IDENTITY: {0: size}})
    warm, position = all_reads(log, sum(sizes)), log.committed("g", topics.IDENTITY)
    log.close()
    again = SqliteEventLog(path)
    assert all_reads(again, sum(sizes)) == warm
    assert again.committed("g", topics.IDENTITY) == position
    again.close()
