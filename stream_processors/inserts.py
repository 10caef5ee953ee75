"""Rows on their way into the warehouse: gathered over small batches, written beside the computing.

A part costs the engine some 5 ms whatever it holds, so rows of several small batches share one. What is gathered is
written in one go, a part per table; while that goes on, the next rows are gathered.
"""

from concurrent.futures import Future, ThreadPoolExecutor, wait

import pyarrow as pa

from stream_processors.checkpoints import Checkpoint
from warehouse.client import Writer

_THREADS = 2


class Inserts:
    """Used by one thread; the writing is done by a small pool, tables in any order between two joins."""

    def __init__(self, writer: Writer, checkpoint: Checkpoint) -> None:
        self._writer = writer
        self._checkpoint = checkpoint
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="warehouse")
        self._gathered: dict[str, list[pa.Table]] = {}
        self._begun: list[Future[None]] = []

    def add(self, table: str, rows: pa.Table) -> None:
        """Gather rows for the next `begin`."""
        if rows.num_rows:
            self._gathered.setdefault(table, []).append(rows)

    def begin(self) -> None:
        """Start to write what was gathered. Nothing may be under way."""
        assert not self._begun, "one writing at a time"
        gathered, self._gathered = self._gathered, {}
        self._begun = [
            self._pool.submit(self._insert, table, pa.concat_tables(rows) if len(rows) > 1 else rows[0])
            for table, rows in gathered.items()
        ]

    def done(self, seconds: float = 0.0) -> bool:
        """Whether nothing is under way (any more), after waiting up to `seconds` for it."""
        return not wait(self._begun, seconds).not_done

    def join(self) -> None:
        """Wait for what is under way; raises what one of the inserts raised."""
        begun, self._begun = self._begun, []
        for insert in begun:
            insert.result()

    def close(self) -> None:
        """Wait for what is under way; one that fails is for the next try, which finds its rows missing."""
        self._pool.shutdown()

    def _insert(self, table: str, rows: pa.Table) -> None:
        self._writer.insert(table, rows)
        self._checkpoint(table)
