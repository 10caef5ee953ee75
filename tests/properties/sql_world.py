"""Worlds of `segments_world` in an engine's tables, for laws that compare with SQL."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import clickhouse_connect

from tests.properties.segments_world import World, table_rows
from warehouse.ddl import create_statements


@contextmanager
def sql_engine(dsn: str, database: str) -> Iterator[Any]:
    """A client whose tables are those of a new database, which is dropped in the end."""
    client = clickhouse_connect.get_client(dsn=dsn)
    for statement in create_statements(database):
        client.command(statement)
    client.command(f"USE {database}")
    yield client
    client.command(f"DROP DATABASE {database} SYNC")
    client.close()


def load(engine: Any, world: World) -> None:
    for table, columns, rows in table_rows(world):
        engine.command(f"TRUNCATE TABLE {table}")
        if rows:
            engine.insert(table, rows, column_names=columns)
