"""The ends of the rows of simorgh.events."""

from collections.abc import Mapping

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
