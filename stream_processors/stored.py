"""How far the rows of simorgh.events go."""

from warehouse.client import Writer


def stored_end(writer: Writer, part: int) -> int:
    """The offset after a partition's highest one in `log_rows`; 0 where it has none."""
    sql = "SELECT off FROM log_rows WHERE part = {p:UInt16} ORDER BY part DESC, off DESC LIMIT 1"
    rows = writer.rows(sql, {"p": part})
    return int(rows[0][0]) + 1 if rows else 0
