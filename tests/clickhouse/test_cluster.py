"""The tables on a cluster: every statement parses, and is what is written down here."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest

from warehouse.cluster import SHARDED_BY, clustered
from warehouse.ddl import create_statements, drop_statement, mark, table_names, table_statements

GOLDEN = Path(__file__).with_name("cluster.sql")


@pytest.fixture(scope="module")
def engine(chdb_dsn: str) -> Iterator[Any]:
    client = clickhouse_connect.get_client(dsn=chdb_dsn)
    yield client
    client.close()


def written() -> str:
    statements = [*create_statements("default_g1", "simorgh"), drop_statement("default_g1", "simorgh")]
    text = ";\n\n".join(re.sub(r"[ \t]+\n", "\n", statement) for statement in statements) + ";\n"
    return text.replace(mark("simorgh"), "its mark")


def test_the_statements_are_those_that_were_reviewed() -> None:
    """After a change of `tables.sql` or `cluster.py`: read what `written()` gives, then keep it as the new text."""
    assert written() == GOLDEN.read_text()


@pytest.mark.parametrize("cluster", ["", "simorgh", "{cluster}"])
def test_every_statement_parses(engine: Any, cluster: str) -> None:
    for statement in (*create_statements("default_g1", cluster), drop_statement("default_g1", cluster)):
        assert engine.command(f"EXPLAIN AST {statement}")
        assert statement.count("ON CLUSTER") == bool(cluster)


def test_a_row_and_what_replaces_it_meet_in_one_shard() -> None:
    assert set(SHARDED_BY) == set(table_names())
    for statement in table_statements():
        name = statement.split()[2]
        key = re.search(r"ORDER BY \(?([^)]*?)\)?(?:\s+SETTINGS|$)", statement, re.DOTALL)
        assert key
        assert SHARDED_BY[name] in key[1].split(", "), name


def test_every_table_collapses_what_is_written_twice() -> None:
    for statement in table_statements():
        assert re.search(r"ENGINE = (Replacing|Aggregating)MergeTree", statement), statement


def test_arguments_and_settings_stay() -> None:
    local, whole = clustered(
        "CREATE TABLE ids (a UInt8) ENGINE = ReplacingMergeTree(v) ORDER BY a SETTINGS x = 1", "d", "c"
    )
    assert local == (
        "CREATE TABLE IF NOT EXISTS d.ids_local ON CLUSTER 'c' (a UInt8) ENGINE = ReplicatedReplacingMergeTree("
        "'/clickhouse/tables/{shard}/{database}/{table}', '{replica}', v) ORDER BY a SETTINGS x = 1"
    )
    assert whole == (
        "CREATE TABLE IF NOT EXISTS d.ids ON CLUSTER 'c' AS d.ids_local"
        " ENGINE = Distributed('c', 'd', 'ids_local', cityHash64(key))"
    )
