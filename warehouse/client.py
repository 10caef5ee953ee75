"""The warehouse: ClickHouse, as a server or embedded (chDB), behind clickhouse-connect's one client API.

One database per workspace and generation (`default_g1`). Handles are per thread: one handle serialises its callers,
several on one engine run side by side. Every setting that decides about correctness is set here, explicitly, since
a server's defaults depend on its version.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver.exceptions import ClickHouseError

from schemas.errors import Broken, InvalidInput

TABLES_SQL = Path(__file__).with_name("tables.sql")

INSERT_SETTINGS: Mapping[str, Any] = {
    "async_insert": 0,  # a default since 26.2: an acknowledged insert must be in a part
    "deduplicate_insert": "disable",  # the insert log loses acknowledged rows under kill -9
    "insert_deduplicate": 0,
    "input_format_parallel_parsing": 0,
    "max_insert_threads": 1,
    # one insert = one block = one part: all of its rows or none
    "max_insert_block_size": 4_000_000,
    "min_insert_block_size_rows": 4_000_000,
    "min_insert_block_size_bytes": 1 << 30,
}

QUERY_SETTINGS: Mapping[str, Any] = {
    "max_execution_time": 30,
    "max_memory_usage": 4_000_000_000,
    "max_result_rows": 2_000_000,
    "result_overflow_mode": "throw",
    "max_bytes_before_external_group_by": 500_000_000,
    "max_bytes_ratio_before_external_group_by": 0,
    "readonly": 1,  # last: from here on the handle can change nothing, its own settings included
}

_LIMITS_REACHED = ("TIMEOUT_EXCEEDED", "MEMORY_LIMIT_EXCEEDED", "TOO_MANY_ROWS", "QUERY_WAS_CANCELLED")


def table_statements() -> list[str]:
    """The DDL of one generation, statement by statement."""
    lines = (line.split("--")[0] for line in TABLES_SQL.read_text().splitlines())
    return [s.strip() for s in "\n".join(lines).split(";") if s.strip()]


def table_names() -> list[str]:
    return [statement.split()[2] for statement in table_statements()]


class Warehouse:
    """Owns the connection settings; hands out writers and readers. Threads may share it."""

    def __init__(self, dsn: str, workspace: str = "default") -> None:
        """`dsn`: `chdb:///absolute/path` (one process per path) or `http://host:port`."""
        self._dsn = dsn
        self._workspace = workspace
        self._local = threading.local()
        self._clients: list[Any] = []
        self._lock = threading.Lock()

    def database(self, generation: int) -> str:
        return f"{self._workspace}_g{generation}"

    def migrate(self, generation: int) -> None:
        """Create the generation's database and whatever tables it lacks. Idempotent."""
        client = self._client("admin", None, {})
        name = self.database(generation)
        client.command(f"CREATE DATABASE IF NOT EXISTS {name}")
        for statement in table_statements():
            client.command(statement.replace("CREATE TABLE ", f"CREATE TABLE IF NOT EXISTS {name}.", 1))
        client.command(
            f"CREATE OR REPLACE VIEW {name}.profiles AS SELECT * EXCEPT (ver, live, view, due)"
            f" FROM {name}.profile_rows FINAL WHERE live"
        )

    def drop(self, generation: int) -> None:
        self._client("admin", None, {}).command(f"DROP DATABASE IF EXISTS {self.database(generation)} SYNC")

    def generations(self) -> list[int]:
        """The generations that have a database, oldest first."""
        prefix = f"{self._workspace}_g"
        rows = self._client("admin", None, {}).query("SELECT name FROM system.databases").result_rows
        numbers = (name.removeprefix(prefix) for (name,) in rows if name.startswith(prefix))
        return sorted(int(n) for n in numbers if n.isdigit())

    def writer(self, generation: int) -> "Writer":
        return Writer(self, generation)

    def reader(self, generation: Callable[[], int]) -> "WarehouseReader":
        return WarehouseReader(self, generation)

    def close(self) -> None:
        with self._lock:
            clients, self._clients = self._clients, []
        for client in clients:
            client.close()

    def _client(self, role: str, generation: int | None, settings: Mapping[str, Any]) -> Any:
        """This thread's handle for a role; settings are applied once, in order, when it is made."""
        handles: dict[tuple[str, int | None], Any] = self._local.__dict__.setdefault("handles", {})
        client = handles.get((role, generation))
        if client is None:
            database = self.database(generation) if generation is not None else None
            client = clickhouse_connect.get_client(dsn=self._dsn, database=database)
            for name, value in settings.items():
                client.command(f"SET {name} = {value!r}")
            handles[(role, generation)] = client
            with self._lock:
                self._clients.append(client)
        return client

    def _forget(self, role: str, generation: int) -> None:
        client = self._local.handles.pop((role, generation), None)
        if client is not None:
            with self._lock:
                self._clients.remove(client)
            client.close()


class Writer:
    """Trusted access to one generation: inserts of Arrow tables, and queries of our own making."""

    def __init__(self, warehouse: Warehouse, generation: int) -> None:
        self._warehouse = warehouse
        self.generation = generation

    def insert(self, table: str, rows: pa.Table) -> None:
        """Write all rows as one part, or none. Blocks until the part is committed. No rows: nothing happens."""
        if rows.num_rows:
            client = self._warehouse._client("write", self.generation, {})
            client.insert_arrow(table, rows, settings=dict(INSERT_SETTINGS))

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        client = self._warehouse._client("write", self.generation, {})
        return list(client.query(sql, parameters=dict(parameters or {})).result_rows)

    def arrow(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        client = self._warehouse._client("write", self.generation, {})
        return client.query_arrow(sql, parameters=dict(parameters or {}))

    def command(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None:
        client = self._warehouse._client("write", self.generation, {})
        client.command(sql, parameters=dict(parameters or {}), settings=dict(INSERT_SETTINGS))


class WarehouseReader:
    """`warehouse.reader.Reader` on the generation that is current at each call."""

    def __init__(self, warehouse: Warehouse, generation: Callable[[], int]) -> None:
        self._warehouse = warehouse
        self._generation = generation

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        client = self._warehouse._client("read", self._generation(), QUERY_SETTINGS)
        try:
            result = client.query(sql, parameters=dict(parameters or {}))
            names, rows = result.column_names, result.result_rows
        except ClickHouseError as error:
            # a handle may still hold what a failed query had begun to answer: the next caller gets a new one
            self._warehouse._forget("read", self._generation())
            raise _translated(error) from None
        return [dict(zip(names, row, strict=True)) for row in rows]


def _translated(error: ClickHouseError) -> InvalidInput | Broken:
    """The engine's text may quote a caller's value, so only its code goes on."""
    text = str(error)
    reached = next((name for name in _LIMITS_REACHED if name in text), None)
    if reached:
        return InvalidInput(
            f"warehouse: the query went over a limit ({reached}); ask for less at a time",
            code="query_too_large",
        )
    code = text.split("DB::Exception", maxsplit=1)[0].strip(" :")[:40]
    return Broken(f"warehouse: the engine refused a query ({code or type(error).__name__})")


def fixed16(values: Iterable[int]) -> pa.Array:
    """UInt128 as Arrow: 16 bytes, little-endian."""
    raw = b"".join([v.to_bytes(16, "little") for v in values])
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(raw) // 16, [None, pa.py_buffer(raw)])
