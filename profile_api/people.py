"""Finding profiles: from what a caller writes to a node, and from nodes to the rows that the views are made
of.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from identity.nodes import node_of, parse_profile_id
from identity.normalise import normalise
from profile_api.deps import ApiDeps
from schemas.errors import InvalidIdentifier, NotFound
from warehouse.reader import Reader

Row = dict[str, Any]

# A profile has a few versions that are not merged yet: choosing the latest here is quicker than in SQL.
_ROWS = """SELECT profile, ver, live, view, segments, arrayMap(at -> toUnixTimestamp64Milli(at), entered) AS entered_ms
FROM views WHERE profile IN {profiles:Array(UInt128)}"""
_ROWS_OF_NODE = _ROWS.replace(
    "IN {profiles:Array(UInt128)}", "= (SELECT argMax(profile, ver) FROM identity WHERE node = {node:UInt128})"
)
_PROVENANCE = """SELECT argMax(provenance, ver) AS provenance FROM profile_rows
WHERE profile = {profile:UInt128} GROUP BY profile"""
_WHOSE = """SELECT node, argMax(profile, ver) AS profile FROM identity
WHERE node IN {nodes:Array(UInt128)} GROUP BY node"""
_NODES = """SELECT node, argMax(live, ver) AS here FROM members
WHERE profile = {profile:UInt128} GROUP BY node HAVING here ORDER BY node"""
_TRIES = 2


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
    """The live profile that has this key: its id as `profile`, `memberships` [(segment, entered ms)], and what its
    row's `view` says (see `stream_processors.project.view_text`).

    Raises `NotFound`. A profile that is absorbed while it is looked up is looked up again.
    """
    node = node_of_key(deps, key)
    for _ in range(_TRIES):
        for row in _latest(deps.reader.look_up(_ROWS_OF_NODE, {"node": node})).values():
            return row
    raise NotFound("No profile has this key (yet: see lag_events of /v1/status).")


def profiles_of(reader: Reader, nodes: Iterable[int]) -> dict[int, int]:
    """The present profile of each node that has one."""
    wanted = list(set(nodes))
    rows = reader.look_up(_WHOSE, {"nodes": wanted}) if wanted else []
    return {row["node"]: row["profile"] for row in rows if row["profile"]}


def rows_of(reader: Reader, profiles: Sequence[int]) -> dict[int, Row]:
    """The live rows of these profiles, like `profile_row`, in one query however many there are."""
    return _latest(reader.look_up(_ROWS, {"profiles": list(profiles)})) if profiles else {}


def _latest(versions: Iterable[Row]) -> dict[int, Row]:
    """The latest version of each profile's row, of those that are live."""
    latest: dict[int, Row] = {}
    for row in versions:
        if row["ver"] >= latest.get(row["profile"], row)["ver"]:
            latest[row["profile"]] = row
    return {profile: _opened(row) for profile, row in latest.items() if row["live"]}


def _opened(row: Row) -> Row:
    memberships = list(zip(row["segments"], row["entered_ms"], strict=True))
    return {"profile": row["profile"], "memberships": memberships, **orjson.loads(row["view"])}


def provenance_of(reader: Reader, profile: int) -> dict[str, Any]:
    """Trait -> the source, channel and time of the write that won."""
    rows = reader.look_up(_PROVENANCE, {"profile": profile})
    return dict(orjson.loads(rows[0]["provenance"])) if rows else {}


def nodes_of(reader: Reader, profile: int) -> list[int]:
    """The nodes that make up a profile now."""
    return [row["node"] for row in reader.look_up(_NODES, {"profile": profile})]
