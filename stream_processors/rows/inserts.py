"""Inserts in parallel with computing: ClickHouse works outside the interpreter lock."""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait

import pyarrow as pa

from stream_processors.checkpoints import Checkpoint
from warehouse.client import Writer

_THREADS = 2


class Inserts:
    """Started by one thread, run by a small pool in any order between two joins."""

    def __init__(self, writer: Writer, checkpoint: Checkpoint) -> None:
        self._writer = writer
        self._checkpoint = checkpoint
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="warehouse")
        self._begun: list[Future[None]] = []

    def begin(self, tables: Mapping[str, pa.Table]) -> None:
        """Start to write rows into tables, a part each; nothing for a table without rows."""
        self._begun += [self._pool.submit(self._insert, name, rows) for name, rows in tables.items() if rows.num_rows]

    def write(self, table: str, rows: pa.Table) -> None:
        """Write rows at once, in parallel with running inserts. Blocks until they are in the table."""
        self._insert(table, rows)

    def done(self, seconds: float = 0.0) -> bool:
        """Whether no insert is running, after waiting up to `seconds`."""
        return not wait(self._begun, seconds).not_done

    def join(self) -> None:
        """Wait for running inserts; raises the error of a failed one."""
        begun, self._begun = self._begun, []
        for insert in begun:
            insert.result()

    def close(self, *, begin: bool = True) -> None:
        """Wait for running inserts. The next attempt finds the rows of a failed one missing, and without `begin` those
        of inserts that had not begun."""
        self._pool.shutdown(cancel_futures=not begin)

    def _insert(self, table: str, rows: pa.Table) -> None:
        self._writer.insert(table, rows)
        self._checkpoint(table)
