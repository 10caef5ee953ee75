"""Which rows of simorgh.events are in the tables."""

from collections.abc import Mapping

from stream_processors.parse.batch import Batch
from warehouse.client import Writer


def stored_end(writer: Writer, part: int) -> int:
    """The offset after a partition's highest one in `log_rows`; 0 if it has none."""
    sql = "SELECT off FROM log_rows WHERE part = {p:UInt16} ORDER BY part DESC, off DESC LIMIT 1"
    rows = writer.rows(sql, {"p": part})
    return int(rows[0][0]) + 1 if rows else 0


def stored_ends(writer: Writer, known: Mapping[int, int]) -> dict[int, int]:
    """The same for all partitions with one query, starting at known ends, so that earlier rows are not read again."""
    new = [f"part = {part} AND off >= {end}" for part, end in known.items()]
    sql = f"SELECT part, max(off) FROM log_rows WHERE {' OR '.join(new)} OR part >= {len(known)} GROUP BY part"
    return {**known, **{part: last + 1 for part, last in writer.look_up(sql, {})}}


def missing(writer: Writer, batch: Batch) -> tuple[list[int], list[int]]:
    """Indices of unique events whose id, and of those whose row, is not in the table."""
    unique = batch.unique()
    sql = "SELECT key FROM ids WHERE key IN {keys:Array(UInt128)}"
    stored = {key for (key,) in writer.rows(sql, {"keys": [batch.keys[i] for i in unique]})}
    nodes = list({batch.nodes[i][0] if batch.nodes[i] else 0 for i in unique})
    low = min((record.offset for record in batch.records), default=0)
    sql = "SELECT part, off FROM events WHERE node IN {n:Array(UInt128)} AND off >= {low:UInt64}"
    there = set(writer.rows(sql, {"n": nodes, "low": low}))
    ids = [i for i in unique if batch.keys[i] not in stored]
    return ids, [i for i in unique if (batch.records[i].partition, batch.records[i].offset) not in there]
