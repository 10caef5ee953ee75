"""The warehouse: ClickHouse, as a server or embedded (chDB), behind clickhouse-connect's one client API.

One database per workspace and generation (`default_g1`). How handles are made, and which settings they have, is in
`warehouse.connect`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, cast

import pyarrow as pa
from clickhouse_connect.driver.client import Client

from schemas.errors import Conflict, SimorghError
from warehouse.cluster import on_cluster
from warehouse.connect import Role, address, connections, is_server
from warehouse.ddl import create_statements, drop_statement, mark, marks_query
from warehouse.failures import DAMAGED, EngineError, failure, read_failure
from warehouse.parameters import write_long_lists
from warehouse.reader import Parameters, Row
from warehouse.tickets import Ticket, tagged

_ON_ALL_REPLICAS = {"mutations_sync": 2, "alter_sync": 2}

_REPLACED = """SELECT hostName(), table, name FROM {parts}
    WHERE database = {{database:String}} AND table IN {{tables:Array(String)}} AND NOT active"""

_ARROW_COMPRESSIONS = ("lz4", "zstd")


class Warehouse:
    """Owns the connections; hands out writers and readers. Threads may share it.

    Every call raises `Backpressure` (code `warehouse_unavailable`) while a server is unreachable or unable (the outcome
    of a write is unknown then: read back), and `Broken` if the engine refuses.
    """

    def __init__(self, dsn: str, workspace: str = "default", *, read_dsn: str = "", cluster: str = "") -> None:
        """`dsn`: `chdb:///absolute/path` (one process per path) or `http(s)://user:password@host:port`.

        With a server, `read_dsn` may name a less privileged user for queries with a caller's values, and `cluster` the
        cluster on which `migrate` makes replicated and Distributed tables.
        """
        self.address = address(dsn)
        self._dsn = dsn
        self._connections = connections(dsn, read_dsn, cluster)
        self._workspace = workspace
        self._cluster = cluster
        self._damage: dict[str, SimorghError] = {}

    def database(self, generation: int) -> str:
        return f"{self._workspace}_g{generation}"

    def migrate(self, generation: int) -> None:
        """Create the generation's database and missing tables. Idempotent. Raises `OtherTables` if it was made from
        other table definitions than this version's, and changes nothing then.
        """
        database = self.database(generation)
        with self._call("admin") as client:
            marks = client.query(marks_query(self._cluster), parameters={"name": database}).result_rows
            if any(found != mark(self._cluster) for (found,) in marks):
                raise OtherTables(database)
            for statement in create_statements(database, self._cluster):
                client.command(statement)

    def drop(self, generation: int) -> None:
        with self._call("admin") as client:
            client.command(drop_statement(self.database(generation), self._cluster))
        self._damage.pop(self.database(generation), None)

    def damage(self, generation: int) -> SimorghError | None:
        """The damage on disk that a query of this generation has met since this object was made. Runs no query."""
        return self._damage.get(self.database(generation))

    def generations(self) -> list[int]:
        """The generations that have a database, oldest first."""
        prefix = f"{self._workspace}_g"
        with self._call("admin") as client:
            rows = client.query("SELECT name FROM system.databases").result_rows
        numbers = (name.removeprefix(prefix) for (name,) in rows if name.startswith(prefix))
        return sorted(int(n) for n in numbers if n.isdigit())

    def version(self) -> str:
        """The engine's version. Queried as both users, so it also checks that they can log in."""
        with self._call("read") as client:
            client.query("SELECT 1")
        with self._call("admin") as client:
            return str(client.query("SELECT version()").result_rows[0][0])

    def writer(self, generation: int) -> "Writer":
        return Writer(self, generation)

    def reader(self, generation: Callable[[], int]) -> "WarehouseReader":
        return WarehouseReader(self, generation)

    def settle(self) -> None:
        """Start the embedded engine, whose own threads keep some forty files open. Call it before descriptors are
        counted and distributed."""
        if not is_server(self._dsn):
            with suppress(SimorghError), self._call("read") as client:
                client.query("SELECT 1")

    def call_off(self, ticket: Ticket) -> None:
        """Cancel the queries that run under the ticket."""
        ticket.called_off = True
        self._kill(f"query LIKE '%{ticket.comment()}%' AND query NOT LIKE 'KILL %'")

    def interrupt(self) -> None:
        """Cancel all queries of the embedded engine, before this process ends. A server's queries continue."""
        if not is_server(self._dsn):
            self._kill("query NOT LIKE 'KILL %'")

    def _kill(self, where: str) -> None:
        with self._call("admin") as client:
            client.command(f"KILL QUERY WHERE {where} ASYNC")

    def close(self) -> None:
        self._connections.close()

    @contextmanager
    def _call(self, role: Role, generation: int | None = None) -> Iterator[Client]:
        """A client for one call. Its errors are converted to ours."""
        database = self.database(generation) if generation is not None else None
        with self._connections.handle(role, database) as client:
            try:
                yield client
            except EngineError as error:
                ours = read_failure(error) if role in ("read", "look_up", "fill") else failure(error)
                if ours.code == DAMAGED and database:
                    self._damage[database] = ours
                raise ours from None


class OtherTables(Conflict):
    """A database has other table definitions than this version's: another version made it, or another setting."""

    default_code = "other_tables"

    def __init__(self, database: str) -> None:
        super().__init__(
            f"warehouse: wanted the tables of this version in {database}, got others; start `simorgh serve`, or on"
            " a cluster `simorgh work`, which rebuilds them (docs/operations.md, Tables of another version)"
        )
        self.database = database


class Writer:
    """Trusted access to one generation: inserts of Arrow tables, and our own queries."""

    def __init__(self, warehouse: Warehouse, generation: int) -> None:
        self._warehouse = warehouse
        self.generation = generation

    def insert(self, table: str, rows: pa.Table) -> None:
        """Write all rows as one part (on a cluster one in each shard), or none. Blocks until it is committed. No rows:
        nothing happens.

        Sent once: if the answer is lost, the rows may or may not be there.
        """
        if rows.num_rows:
            settings = dict(self._warehouse._connections.insert_settings)
            with self._call() as client:
                block = cast(bytes, _arrow_file(rows, client.write_compression))  # any buffer will do
                client.raw_insert(table, rows.schema.names, block, settings, "Arrow")

    def rows(self, sql: str, parameters: Parameters | None = None) -> list[tuple[Any, ...]]:
        with self._call() as client:
            sql, bound = write_long_lists(sql, parameters or {})
            return list(cast(Sequence[tuple[Any, ...]], client.query(sql, parameters=bound).result_rows))

    def look_up(self, sql: str, parameters: Parameters, *, once: bool = True) -> list[tuple[Any, ...]]:
        """`rows` for a query that names its keys. It reads little, so more threads would cost more than they save: with
        one it needs a fifth less CPU.

        `once` False: rows that were written twice may come twice, and the caller handles that. If a table has unmerged
        parts, this saves up to half of the query."""
        return self.rows(f"{sql} SETTINGS max_threads = 1{'' if once else ', final = 0'}", parameters)

    def arrow(self, sql: str, parameters: Parameters | None = None) -> pa.Table:
        with self._call() as client:
            sql, bound = write_long_lists(sql, parameters or {})
            return client.query_arrow(sql, parameters=bound)

    def command(
        self, sql: str, parameters: Parameters | None = None, settings: Mapping[str, int | str] | None = None
    ) -> None:
        """Run a statement without a result. One that writes does so like `insert`."""
        settings = {**self._warehouse._connections.insert_settings, **(settings or {})}
        with self._call() as client:
            sql, bound = write_long_lists(sql, parameters or {})
            client.command(sql, parameters=bound, settings=settings)

    def and_later(self) -> list["Writer"]:
        """This one, and those of the generations that are being built. Tables of another version never become live."""
        found = [self]
        for number in self._warehouse.generations():
            if number > self.generation:
                with suppress(OtherTables):
                    self._warehouse.migrate(number)
                    found.append(self._warehouse.writer(number))
        return found

    def delete(self, table: str, where: str, parameters: Parameters) -> None:
        """No query finds these rows any more when this returns; their bytes stay until parts are written anew."""
        self.command(f"DELETE FROM {self._stored(table)} WHERE {where}", parameters)

    def may_hold(self, table: str, where: str, parameters: Mapping[str, Any]) -> bool:
        """Whether a table may hold such rows. On a cluster always, since a replica may not have them yet."""
        if self._warehouse._cluster:
            return True
        return bool(self.rows(f"SELECT 1 FROM {table} WHERE {where} LIMIT 1 SETTINGS final = 0", parameters))

    def alter(self, table: str, change: str) -> None:
        """Change a table's parts or settings. Blocks until that is done, on all replicas."""
        self.command(f"ALTER TABLE {self._stored(table)} {change}", settings=_ON_ALL_REPLICAS)

    def replaced_parts(self, tables: Sequence[str]) -> set[tuple[str, str, str]]:
        """Server, table and name of the parts of these tables that were replaced, and are still on a disk."""
        cluster = self._warehouse._cluster
        parts = f"clusterAllReplicas('{cluster}', system.parts)" if cluster else "system.parts"
        stored = {f"{table}_local" if cluster else table: table for table in tables}
        bound = {"database": self._warehouse.database(self.generation), "tables": list(stored)}
        found = self.rows(_REPLACED.format(parts=parts), bound)
        return {(server, stored[table], part) for server, table, part in found}

    def clean_up(self, table: str) -> None:
        """Have the engine remove parts that were replaced now, and not at its next turn, in up to half a minute. A user
        without the right to ask for it, and a cluster, wait for that."""
        if not self._warehouse._cluster:
            with suppress(SimorghError):
                self.command(f"SYSTEM START CLEANUP {table}")

    def _stored(self, table: str) -> str:
        """The table that holds the rows, in a statement."""
        cluster = self._warehouse._cluster
        return f"{table}_local{on_cluster(cluster)}" if cluster else table

    def _call(self) -> AbstractContextManager[Client]:
        return self._warehouse._call("write", self.generation)


class WarehouseReader:
    """`warehouse.reader.Reader` on the generation that is current at each call."""

    def __init__(self, warehouse: Warehouse, generation: Callable[[], int]) -> None:
        self._warehouse = warehouse
        self._generation = generation

    def rows(self, sql: str, parameters: Parameters | None = None) -> list[Row]:
        return self._query("read", sql, parameters)

    def look_up(self, sql: str, parameters: Parameters | None = None) -> list[Row]:
        return self._query("look_up", sql, parameters)

    def fill(self, sql: str, parameters: Parameters | None = None) -> list[tuple[Any, ...]]:
        with self._warehouse._call("fill", self._generation()) as client:
            sql, bound = write_long_lists(sql, parameters or {})
            return list(cast(Sequence[tuple[Any, ...]], client.query(sql, parameters=bound).result_rows))

    def call_off(self, ticket: Ticket) -> None:
        self._warehouse.call_off(ticket)

    def _query(self, role: Role, sql: str, parameters: Parameters | None) -> list[Row]:
        with self._warehouse._call(role, self._generation()) as client:
            sql, bound = write_long_lists(tagged(sql), parameters or {})
            result = client.query(sql, parameters=bound)
            names, rows = result.column_names, result.result_rows
        return [dict(zip(names, row, strict=True)) for row in rows]


def _arrow_file(rows: pa.Table, compression: str | None) -> memoryview:
    """Rows in Arrow's file format. The library's own `insert_arrow` does the same, but copies it while it holds the
    interpreter lock."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression if compression in _ARROW_COMPRESSIONS else None)
    with pa.ipc.new_file(sink, rows.schema, options=options) as out:
        out.write(rows)
    return memoryview(sink.getvalue())


def fixed16(values: Iterable[int]) -> pa.Array:
    """UInt128 as Arrow: 16 bytes, little-endian."""
    return _fixed(values, 16)


def fixed32(values: Iterable[int]) -> pa.Array:
    """UInt256 as Arrow: 32 bytes, little-endian."""
    return _fixed(values, 32)


def _fixed(values: Iterable[int], size: int) -> pa.Array:
    raw = b"".join([v.to_bytes(size, "little") for v in values])
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(size), len(raw) // size, [None, pa.py_buffer(raw)])
