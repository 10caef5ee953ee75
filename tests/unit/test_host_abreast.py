"""Partitions are read abreast: none further than the others."""

import orjson

from eventlog.port import Record
from schemas.clock import iso
from stream_processors.host.abreast import abreast


def records(partition: int, *moments: int) -> list[Record]:
    """Received at these moments, and appended long after."""
    values = [orjson.dumps({"type": "page", "received_at": iso(at)}) for at in moments]
    return [Record(partition, offset, b"", value, 99) for offset, value in enumerate(values)]


def places(taken: list[Record]) -> list[tuple[int, int]]:
    return [(record.partition, record.offset) for record in taken]


def test_the_piece_that_ends_first_says_up_to_when() -> None:
    pieces = [(records(0, 1, 5, 9), True), (records(1, 2, 3, 4), True), (records(2, 4, 4, 5), False)]
    assert places(abreast(pieces)) == [(0, 0), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1)]


def test_where_nothing_more_is_to_come_all_is_taken() -> None:
    assert places(abreast([(records(0, 1, 9), False), (records(1, 2), False)])) == [(0, 0), (0, 1), (1, 0)]
    assert places(abreast([(records(0, 1, 9), True)])) == [(0, 0), (0, 1)]
    assert abreast([]) == []


def test_a_clock_that_was_set_back_stops_nothing() -> None:
    taken = abreast([(records(0, 9, 8, 1), True), (records(1, 7), False)])
    assert places(taken) == [(0, 0), (0, 1), (0, 2), (1, 0)]


def test_what_cannot_be_read_counts_as_received_when_it_was_appended() -> None:
    for value in (b"", b"\xff", b"{}", b'{"received_at":7}', b'{"a":' + b"[" * 10_000):
        unreadable = [Record(1, 0, b"", value, 3), Record(1, 1, b"", value, 6)]
        assert places(abreast([(records(0, 1, 5, 9), True), (unreadable, False)])) == [
            (0, 0),
            (0, 1),
            (0, 2),
            (1, 0),
            (1, 1),
        ]
        assert places(abreast([(records(0, 1, 5, 9), False), (unreadable, True)])) == [(0, 0), (0, 1), (1, 0), (1, 1)]
