"""The tables of `tables.sql` on a ClickHouse cluster: replicated local tables, and Distributed ones over them.

A table `t` becomes `t_local` (the rows of one shard, replicated) and `t` (Distributed, for reads and writes), so that
no query changes. Pure functions from DDL to DDL.

A row and its replacements must be in one shard, since they collapse only there: each sharding column is in its table's
sorting key (a test checks it).
"""

import re
from collections.abc import Mapping

from schemas import fact_tables

SHARDED_BY: Mapping[str, str] = {
    # one insert of a partition's batch is one part on one shard: the commit point stays all or nothing
    "log_rows": "part",
    "ids": "key",
    # all rows of a node in one place: segments and 360° views join these by node
    "events": "node",
    "traits": "node",
    "consents": "node",
    "identifiers": "node",
    "identity": "node",
    "identity_log": "node",
    "decisions": "node",
    "links": "link",
    "tellings": "fact",
    "retellings": "node",
    "order_tellings": "doc",
    "affiliations": "node",
    "account_events": "account",
    "account_traits": "account",
    "account_parents": "account",
    # all rows of a profile in one place
    "members": "profile",
    "profile_rows": "profile",
    "views": "profile",
    "transitions": "profile",
    # by profile, not by segment: a large segment would fill one shard
    "memberships": "profile",
    "rejected": "id",
    "deliveries": "id",
} | dict.fromkeys((table.name for table in fact_tables.ALL), "node")

# The path names shard and table, not a UUID: a replica that is added later finds it with the same statement.
_REPLICA = "'/clickhouse/tables/{shard}/{database}/{table}', '{replica}'"

_ENGINE = re.compile(r"ENGINE = (\w*MergeTree)(?:\(([^)]*)\))?")


def on_cluster(cluster: str) -> str:
    return f" ON CLUSTER '{cluster}'" if cluster else ""


def clustered(statement: str, database: str, cluster: str) -> list[str]:
    """The two statements for one `CREATE TABLE name (…) ENGINE = …MergeTree…`: the local table, the Distributed one.

    `cluster` is a name in the servers' `remote_servers`, whose shards have `internal_replication` and whose servers
    define the macros `shard` and `replica`.
    """
    name = statement.split()[2]
    local = statement.replace(
        f"CREATE TABLE {name} ", f"CREATE TABLE IF NOT EXISTS {database}.{name}_local{on_cluster(cluster)} ", 1
    )
    return [
        _ENGINE.sub(_replicated, local, count=1),
        f"CREATE TABLE IF NOT EXISTS {database}.{name}{on_cluster(cluster)} AS {database}.{name}_local"
        f" ENGINE = Distributed('{cluster}', '{database}', '{name}_local', {_sharding_key(name)})",
    ]


def _replicated(engine: re.Match[str]) -> str:
    kind, arguments = engine.groups()
    return f"ENGINE = Replicated{kind}({', '.join(filter(None, (_REPLICA, arguments)))})"


def _sharding_key(table: str) -> str:
    """A plain number spreads partitions evenly; anything else is hashed."""
    column = SHARDED_BY[table]
    return column if column == "part" else f"cityHash64({column})"
