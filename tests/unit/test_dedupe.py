"""Copies are found while the rows of the first ones are still on their way."""

from collections.abc import Collection, Mapping
from typing import Any

import pyarrow as pa
import pytest

from eventlog.port import Position, Record
from schemas.errors import Backpressure
from stream_processors.parse.batch import Batch
from stream_processors.state import id_filter
from stream_processors.state.copies import Copies
from stream_processors.state.id_filter import IdFilter, add_stored, capacity_for, halves
from warehouse.client import Warehouse, Writer, fixed16


def a_writer(chdb_dsn: str, workspace: str) -> Writer:
    warehouse = Warehouse(chdb_dsn, workspace)
    warehouse.migrate(1)
    return warehouse.writer(1)


class Goes(Writer):
    """A warehouse that goes away after some more answers in Arrow, once."""

    answers: int | None = None

    def arrow(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        if self.answers == 0:
            self.answers = None
            raise Backpressure("warehouse: away")
        if self.answers:
            self.answers -= 1
        return super().arrow(sql, parameters)


def store(writer: Writer, keys: Collection[int]) -> None:
    part, off = pa.array([0] * len(keys), pa.uint16()), pa.array(list(range(len(keys))), pa.uint64())
    writer.insert("ids", pa.table({"key": fixed16(keys), "part": part, "off": off}))


def batch_of(*keys: int) -> Batch:
    return Batch(records=[Record(0, key & 0xFFFF, b"", b"", 0) for key in keys], keys=list(keys))


def remember(copies: Copies, *keys: int) -> None:
    copies.remember(batch_of(*keys), range(len(keys)))


def places(*keys: int) -> dict[int, list[Position]]:
    return {key: [(0, key)] for key in keys}


def test_ids_on_their_way_are_known_until_they_have_landed(chdb_dsn: str) -> None:
    seen = Copies(a_writer(chdb_dsn, "dedupe"), lingering=True)
    seen.load()
    for key in (1, 2, 3):
        remember(seen, key)
        if key < 3:
            seen.writing()  # the second begins beside the first
    assert seen.places([1, 2, 3, 4]) == places(1, 2, 3)
    seen.landed()
    assert seen.places([1, 2, 3, 4]) == places(3), "what has landed is asked of the table, which is empty here"


def test_a_larger_filter_counts_what_is_on_its_way_once(chdb_dsn: str) -> None:
    writer = a_writer(chdb_dsn, "growing")
    seen = Copies(writer, None, 4, lingering=True)
    seen.load()
    remember(seen, 1, 2, 3)
    seen.writing()
    store(writer, {1, 2})  # the third is not in yet
    remember(seen, 4, 5)
    assert (seen.count, seen.capacity) == (5, 8)
    remember(seen, 6, 7, 8, 9)
    assert (seen.count, seen.capacity) == (9, 16)
    assert seen.places(range(1, 12)).keys() == set(range(1, 10))


@pytest.mark.parametrize("capacity", [2, 1 << 21], ids=["read at once", "in slices"])
def test_a_filter_takes_in_all_that_the_table_holds(chdb_dsn: str, capacity: int) -> None:
    writer = a_writer(chdb_dsn, f"stored_ids_{capacity}")
    ids = [0, 1, (1 << 128) - 1, *(n << 120 | n for n in range(256))]  # in each of the slices
    store(writer, ids)
    found = IdFilter(capacity_for(len(ids), capacity))
    add_stored(found, writer)
    assert found.capacity == max(512, capacity)
    assert found.maybe(halves(ids)) == list(range(len(ids)))
    assert len(found.maybe(halves([n << 64 | 12345 for n in range(1, 1_000)]))) < 50


def test_on_a_cluster_a_filter_that_was_not_loaded_whole_is_not_asked(
    chdb_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(id_filter, "_ONE_SLICE", 0)
    warehouse = Warehouse(chdb_dsn, "half_loaded")
    warehouse.migrate(1)
    writer = Goes(warehouse, 1)
    copies = Copies(writer, capacity=2)
    copies.load()
    low, high = {1, 2}, {15 << 124, 15 << 124 | 1}  # in the first slice, in the last
    store(writer, low | high)
    writer.answers = 3
    with pytest.raises(Backpressure):
        remember(copies, *low, *high)
    assert copies.places([*low, *high, 3]).keys() == low | high
    store(writer, {5})
    remember(copies, 5)
    assert copies.filter_bytes, "it is loaded again at the next opportunity"
    assert copies.places([*low, *high, 3]).keys() == low | high
