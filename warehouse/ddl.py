"""The DDL of one generation, from `tables.sql`: unchanged for one engine, rewritten for a cluster."""

from hashlib import blake2b
from pathlib import Path

from schemas import fact_tables
from warehouse import accounts, facts, orders
from warehouse.cluster import clustered, on_cluster

TABLES_SQL = Path(__file__).with_name("tables.sql")

_VIEWS = {
    "profiles": "SELECT * EXCEPT (ver, live, due) FROM {database}.profile_rows FINAL WHERE live",
    "counted": "SELECT * FROM {database}.events WHERE key NOT IN (SELECT key FROM {database}.retellings)",
    "orders": orders.documents(tellings="{database}.order_tellings"),
    "counted_lines": (
        "SELECT * FROM {database}.order_lines FINAL WHERE key NOT IN (SELECT key FROM {database}.retellings)"
    ),
    "order_movements": orders.movements(tellings="{database}.order_tellings"),
    **facts.views(),
    "account_money": accounts.money("{database}"),
}


def table_statements() -> list[str]:
    """`CREATE TABLE name (…) ENGINE = …`, one per table, without comments and without a database: those of
    `tables.sql`, and the declared tables of facts."""
    lines = (line.split("--")[0] for line in TABLES_SQL.read_text().splitlines())
    written = [s.strip() for s in "\n".join(lines).split(";") if s.strip()]
    return written + [table.statement() for table in fact_tables.ALL]


def table_names() -> list[str]:
    return [statement.split()[2] for statement in table_statements()]


def mark(cluster: str = "") -> str:
    """The mark in the comment of a generation's database, made from the table definitions. Comments, spaces and the
    cluster's name do not matter; whether there is a cluster does."""
    made = [clustered(table, "database", "cluster") if cluster else [table] for table in table_statements()]
    text = "\n".join(" ".join(statement.split()) for statements in made for statement in statements)
    return f"tables {blake2b(text.encode(), digest_size=8).hexdigest()}"


def marks_query(cluster: str = "") -> str:
    """The different marks of the database `{name}`: none if it does not exist. Unreachable servers are skipped."""
    if not cluster:
        return "SELECT comment FROM system.databases WHERE name = {name:String}"
    databases = f"clusterAllReplicas('{cluster}', system.databases)"
    return f"SELECT DISTINCT comment FROM {databases} WHERE name = {{name:String}} SETTINGS skip_unavailable_shards = 1"


def create_statements(database: str, cluster: str = "") -> list[str]:
    """The statements that make a generation complete, in order; each may run again. `cluster`: its name, or none."""
    where = on_cluster(cluster)
    statements = [f"CREATE DATABASE IF NOT EXISTS {database}{where} COMMENT '{mark(cluster)}'"]
    for table in table_statements():
        statements += clustered(table, database, cluster) if cluster else [_in_database(table, database)]
    for name, view in _VIEWS.items():
        statements.append(f"CREATE OR REPLACE VIEW {database}.{name}{where} AS {view.format(database=database)}")
    return statements


def drop_statement(database: str, cluster: str = "") -> str:
    return f"DROP DATABASE IF EXISTS {database}{on_cluster(cluster)} SYNC"


def _in_database(statement: str, database: str) -> str:
    return statement.replace("CREATE TABLE ", f"CREATE TABLE IF NOT EXISTS {database}.", 1)
