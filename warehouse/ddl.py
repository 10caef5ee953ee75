"""The DDL of one generation, from `tables.sql`: for one engine as it stands, for a cluster rewritten."""

from pathlib import Path

from warehouse.cluster import clustered, on_cluster

TABLES_SQL = Path(__file__).with_name("tables.sql")

_PROFILES_VIEW = "SELECT * EXCEPT (ver, live, due) FROM {database}.profile_rows FINAL WHERE live"


def table_statements() -> list[str]:
    """`CREATE TABLE name (…) ENGINE = …`, one per table, without comments and without a database."""
    lines = (line.split("--")[0] for line in TABLES_SQL.read_text().splitlines())
    return [s.strip() for s in "\n".join(lines).split(";") if s.strip()]


def table_names() -> list[str]:
    return [statement.split()[2] for statement in table_statements()]


def create_statements(database: str, cluster: str = "") -> list[str]:
    """What makes a generation complete, in order; every statement may run again. `cluster`: its name, or none."""
    where = on_cluster(cluster)
    statements = [f"CREATE DATABASE IF NOT EXISTS {database}{where}"]
    for table in table_statements():
        statements += clustered(table, database, cluster) if cluster else [_in_database(table, database)]
    view = _PROFILES_VIEW.format(database=database)
    return [*statements, f"CREATE OR REPLACE VIEW {database}.profiles{where} AS {view}"]


def drop_statement(database: str, cluster: str = "") -> str:
    return f"DROP DATABASE IF EXISTS {database}{on_cluster(cluster)} SYNC"


def _in_database(statement: str, database: str) -> str:
    return statement.replace("CREATE TABLE ", f"CREATE TABLE IF NOT EXISTS {database}.", 1)
