"""Finding profiles: from what a caller writes to a node, and from nodes to the rows that the views are made
of.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from identity.nodes import node_of, parse_profile_id
from identity.normalise import normalise
from profile_api.deps import ApiDeps
from schemas.errors import InvalidIdentifier, NotFound
from warehouse.reader import Reader

Row = dict[str, Any]

# DateTime64 leaves ClickHouse as ms, so that no time zone of a driver gets between.
_COLUMNS = """profile, ver, live, traits, provenance, consent, counts, events, orders, revenue,
    refunds, toUnixTimestamp64Milli(first_seen) AS first_ms, toUnixTimestamp64Milli(last_seen) AS last_ms,
    arrayMap((a, b, c, d) -> (a, b, toUnixTimestamp64Milli(c), toUnixTimestamp64Milli(d)),
        identities.type, identities.value, identities.first_seen, identities.last_seen) AS identifiers"""

_MEMBERSHIPS = """SELECT profile, segment, argMax(kind, off) AS latest,
    toUnixTimestamp64Milli(argMax(entered_at, off)) AS entered_ms
    FROM transitions WHERE profile IN {profiles:Array(UInt128)}
    GROUP BY profile, segment HAVING latest = 'entered' ORDER BY profile, segment"""

# One round trip for the commonest question. Scalar subqueries are evaluated first, so both tables are read
# by key.
_ONE = f"""WITH (SELECT argMax(profile, ver) FROM identity WHERE node = {{node:UInt128}}) AS whose
SELECT {_COLUMNS},
    (SELECT groupArray((segment, entered_ms)) FROM (
        SELECT segment, argMax(kind, off) AS latest,
            toUnixTimestamp64Milli(argMax(entered_at, off)) AS entered_ms
        FROM transitions WHERE profile = whose GROUP BY segment HAVING latest = 'entered' ORDER BY segment
    )) AS memberships
FROM profile_rows WHERE profile = whose ORDER BY ver DESC LIMIT 1"""

_MANY = f"""SELECT {_COLUMNS} FROM profile_rows WHERE profile IN {{profiles:Array(UInt128)}}
ORDER BY profile, ver DESC LIMIT 1 BY profile"""

_WHOSE = """SELECT node, argMax(profile, ver) AS profile FROM identity
WHERE node IN {nodes:Array(UInt128)} GROUP BY node"""

_NODES = """SELECT node, argMax(live, ver) AS here FROM members
WHERE profile = {profile:UInt128} GROUP BY node HAVING here ORDER BY node"""


def node_of_identifier(deps: ApiDeps, kind: str, value: str) -> int:
    """The node of an identifier as a caller writes it. Raises `InvalidIdentifier`."""
    return node_of(deps.secret, deps.workspace, kind, normalise(kind, value))


def node_of_key(deps: ApiDeps, key: str) -> int:
    """The node that `type:value` or a profile id, superseded or not, stands for.

    Raises `NotFound`, also for text that no identifier of its type can be: nobody has it.
    """
    try:
        if key.startswith("prf_"):
            return parse_profile_id(key)
        kind, colon, value = key.partition(":")
        if not colon:
            raise InvalidIdentifier("profile key: type:value or a profile id was wanted; neither came.")
        return node_of_identifier(deps, kind, value)
    except InvalidIdentifier as error:
        raise NotFound(f"No profile has this key: {error.message}") from None


def profile_row(deps: ApiDeps, key: str) -> Row:
    """The live row of the profile that has this key, with `memberships` [(segment, entered ms)]. Or
    `NotFound`.
    """
    found = deps.reader.rows(_ONE, {"node": node_of_key(deps, key)})
    if not found or not found[0]["live"]:
        raise NotFound("No profile has this key (yet: see lag_events of /v1/status).")
    return found[0]


def profiles_of(reader: Reader, nodes: Iterable[int]) -> dict[int, int]:
    """The present profile of each node that has one."""
    wanted = list(set(nodes))
    rows = reader.rows(_WHOSE, {"nodes": wanted}) if wanted else []
    return {row["node"]: row["profile"] for row in rows if row["profile"]}


def rows_of(reader: Reader, profiles: Sequence[int]) -> dict[int, Row]:
    """The live rows of these profiles, like `profile_row`, in two queries."""
    if not profiles:
        return {}
    rows = reader.rows(_MANY, {"profiles": list(profiles)})
    found = {row["profile"]: row | {"memberships": []} for row in rows if row["live"]}
    for row in reader.rows(_MEMBERSHIPS, {"profiles": list(profiles)}):
        if row["profile"] in found:
            found[row["profile"]]["memberships"].append((row["segment"], row["entered_ms"]))
    return found


def nodes_of(reader: Reader, profile: int) -> list[int]:
    """The nodes that make up a profile now."""
    return [row["node"] for row in reader.rows(_NODES, {"profile": profile})]
