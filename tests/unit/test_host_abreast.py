"""Partitions are read abreast: none further than the others."""

from eventlog.port import Record
from stream_processors.host.abreast import abreast


def records(partition: int, *moments: int) -> list[Record]:
    return [Record(partition, offset, b"", b"", at) for offset, at in enumerate(moments)]


def moments(taken: list[Record]) -> list[tuple[int, int]]:
    return [(record.partition, record.appended_at) for record in taken]


def test_the_piece_that_ends_first_says_up_to_when() -> None:
    pieces = [(records(0, 1, 5, 9), True), (records(1, 2, 3, 4), True), (records(2, 4, 4, 5), False)]
    assert moments(abreast(pieces)) == [(0, 1), (1, 2), (1, 3), (1, 4), (2, 4), (2, 4)]


def test_where_nothing_more_is_to_come_all_is_taken() -> None:
    assert moments(abreast([(records(0, 1, 9), False), (records(1, 2), False)])) == [(0, 1), (0, 9), (1, 2)]
    assert moments(abreast([(records(0, 1, 9), True)])) == [(0, 1), (0, 9)]
    assert abreast([]) == []


def test_a_clock_that_was_set_back_stops_nothing() -> None:
    taken = abreast([(records(0, 9, 8, 1), True), (records(1, 7), False)])
    assert moments(taken) == [(0, 9), (0, 8), (0, 1), (1, 7)]
