"""Inserts that go on beside the computing: ClickHouse works outside the interpreter's lock."""

from concurrent.futures import Future, ThreadPoolExecutor

import pyarrow as pa

from stream_processors.checkpoints import Checkpoint
from warehouse.client import Writer

_THREADS = 2


class Inserts:
    """Inserts begun by one thread, run by a small pool in any order between two joins."""

    def __init__(self, writer: Writer, checkpoint: Checkpoint) -> None:
        self._writer = writer
        self._checkpoint = checkpoint
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="warehouse")
        self._begun: list[Future[None]] = []

    def begin(self, table: str, rows: pa.Table) -> None:
        """Start an insert, unless there are no rows."""
        if rows.num_rows:
            self._begun.append(self._pool.submit(self._insert, table, rows))

    def join(self) -> None:
        """Wait for all that were begun; raises what one of them raised."""
        begun, self._begun = self._begun, []
        for insert in begun:
            insert.result()

    def close(self) -> None:
        """Wait for what is under way; one that fails is for the next try, which finds its rows missing."""
        self._pool.shutdown()

    def _insert(self, table: str, rows: pa.Table) -> None:
        self._writer.insert(table, rows)
        self._checkpoint(table)
