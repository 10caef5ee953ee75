"""Finding profiles: from a caller's text to a node, and from nodes to the rows of views."""

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import orjson

from identity.nodes import node_of, parse_profile_id, present_node, to_hex
from identity.normalise import NO_REGION, normalise
from profile_api.call import note, require_personal
from profile_api.deps import ApiDeps
from schemas.errors import Backpressure, Conflict, InvalidIdentifier, NotFound, SimorghError
from stream_processors.views.recent import View
from warehouse import latest
from warehouse.reader import Reader

Row = dict[str, Any]

_ORIGINS = """SELECT argMax(traits, ver) AS traits, argMax(provenance, ver) AS provenance, max(ver) AS newest
FROM profile_rows WHERE profile = {profile:UInt128}"""
_NODES = latest.nodes("profile = {profile:UInt128}") + " ORDER BY node"
_TRIES = 2
_POLL_SECONDS = 0.05


def node_of_identifier(deps: ApiDeps, kind: str, value: str) -> int:
    """The node of an identifier, as shown or as a caller writes it. Raises `InvalidIdentifier`, and `Denied` if the
    caller may not see identifiers: they could try them out."""
    require_personal("profile key")
    return present(deps, kind, normalise(kind, value))


def present(deps: ApiDeps, kind: str, normalised: str) -> int:
    """The node of an identifier today: people who were forgotten may have come back as somebody new, and stay so where
    nobody may come back any more."""
    node, erasures = node_of(deps.secret, deps.workspace, kind, normalised), deps.registry.erasures
    return present_node(deps.secret, node, erasures.nodes, erasures.nodes)


def nodes_of_identifier(deps: ApiDeps, kind: str, value: str) -> list[int]:
    """`node_of_identifier`; of a phone number without a country, one for each region that the workspace or a source
    names and where there may be such a number. Raises `InvalidIdentifier`."""
    try:
        return [node_of_identifier(deps, kind, value)]
    except InvalidIdentifier as error:
        if error.code != NO_REGION or not (spellings := _in_regions(deps, kind, value)):
            raise
    return [node_of_identifier(deps, kind, one) for one in spellings]


def _in_regions(deps: ApiDeps, kind: str, value: str) -> list[str]:
    regions = {deps.phone_region, *(source.region for source in deps.registry.sources.values())} - {None}
    spellings = set()
    for region in regions:
        with suppress(InvalidIdentifier):
            spellings.add(normalise(kind, value, region=region))
    return sorted(spellings)


def nodes_of_key(deps: ApiDeps, key: str) -> list[int]:
    """The nodes that `type:value` or a profile id, superseded or not, may stand for: one, but for phone numbers (see
    `nodes_of_identifier`).

    Raises `NotFound`, also for text that no identifier of its type can be: nobody has it.
    """
    try:
        if key.startswith("prf_"):
            return [parse_profile_id(key)]
        kind, colon, value = key.partition(":")
        if not colon:
            raise InvalidIdentifier(
                "profile key: wanted type:value or a profile id, got neither; look at GET /v1/profiles for ids"
            )
        return nodes_of_identifier(deps, kind, value)
    except InvalidIdentifier as error:
        raise NotFound(
            f"profile key: wanted the key of a profile, got one that none can have; {error.message}"
        ) from None


def node_of_key(deps: ApiDeps, key: str) -> int:
    """The node that a key stands for. Raises as `nodes_of_key`, and `Conflict` (code `ambiguous_key`) for a phone
    number without a country that several profiles have, each in another country."""
    nodes = nodes_of_key(deps, key)
    if len(nodes) == 1:
        return nodes[0]
    node_by_profile = {profile: node for node, profile in deps.views.owners(nodes).items()}
    if len(node_by_profile) > 1:
        raise Conflict(
            "profile key: wanted a phone number of one person, got one that people in several countries have; write"
            " it with + and its country",
            code="ambiguous_key",
        )
    return next(iter(node_by_profile.values()), nodes[0])


def profiles_of_keys(deps: ApiDeps, keys: Sequence[str]) -> list[int]:
    """The profile of each key, with a query however many there are; 0: nobody has it, or several have (see
    `node_of_key`)."""
    nodes = [nodes_or_none(deps, key) for key in keys]
    owners = deps.views.owners(node for some in nodes for node in some)
    whose = [{owners[node] for node in some if node in owners} for some in nodes]
    found = [next(iter(profiles)) if len(profiles) == 1 else 0 for profiles in whose]
    note(sought=[to_hex(node) for some, profile in zip(nodes, found, strict=True) if not profile for node in some])
    if not all(found):
        require_everybody(deps)
    return found


def nodes_or_none(deps: ApiDeps, key: str) -> list[int]:
    """`nodes_of_key`; [] for text that no identifier can be."""
    try:
        return nodes_of_key(deps, key)
    except NotFound:
        return []


def profile_row(deps: ApiDeps, key: str) -> Row:
    """The live profile that has this key: its id as `profile`, its version as `ver`, `memberships` [(segment, entered
    ms)], and what its row's `view` says (see `stream_processors.rows.profiles.view_text`).

    Raises as `node_of_key`. A profile that is absorbed while it is looked up is looked up again.
    """
    node = node_of_key(deps, key)
    for _ in range(_TRIES):
        if (found := deps.views.of_node(node)) is not None:
            return _opened(*found)
    note(sought=[to_hex(node)])
    raise absent(deps)


def absent(deps: ApiDeps) -> SimorghError:
    """What to say of a profile that is not in the tables."""
    return rebuilding(deps) or NotFound(
        "profile key: wanted the key of a profile, got one that none has; if its event was just sent, see lag_events of"
        " /v1/status"
    )


def rebuilding(deps: ApiDeps) -> SimorghError | None:
    """The answer instead of "nobody" while the tables are being rebuilt, since the profile may exist."""
    if not deps.projections.rebuilding:
        return None
    return Backpressure(
        "profile: wanted views of everybody, got views that are being rebuilt from the log; see /v1/status, and ask"
        " again",
        code="rebuilding",
    )


def require_everybody(deps: ApiDeps) -> None:
    """Before a list or a count is made of the tables. Raises `Backpressure` while they are being rebuilt."""
    if (error := rebuilding(deps)) is not None:
        raise error


def recent_row(deps: ApiDeps, key: str) -> Row | None:
    """`profile_row` without a query; None if it needs one."""
    nodes = nodes_of_key(deps, key)
    found = deps.views.recent_of_node(nodes[0]) if len(nodes) == 1 else None
    return _opened(*found) if found else None


def rows_of(deps: ApiDeps, profiles: Sequence[int]) -> dict[int, Row]:
    """The live rows of these profiles, like `profile_row`, in one query at most however many there are."""
    return {profile: _opened(profile, view) for profile, view in deps.views.of(profiles).items()}


def _opened(profile: int, view: View) -> Row:
    note(profiles=[profile])
    return {"profile": profile, "ver": view.ver, "memberships": view.memberships, **orjson.loads(view.text)}


def with_origins(deps: ApiDeps, row: Row) -> Row:
    """The row with its traits and their `provenance`, trait -> source, channel and time of the write that won; both of
    one moment, which is not before that of `row`.

    Blocks until the table is as new as the row, which may be in memory only: for about a second at most while events
    keep coming. Raises `Backpressure` after `visible_within` seconds.
    """
    deadline = time.monotonic() + deps.projections.visible_within
    while (found := deps.reader.look_up(_ORIGINS, {"profile": row["profile"]})[0])["newest"] < row["ver"]:
        if time.monotonic() > deadline:
            raise Backpressure(
                "provenance: wanted this profile's rows, got none yet; see lag_seconds of /v1/status, then ask again",
                code="not_visible_yet",
            )
        time.sleep(_POLL_SECONDS)
    return row | {name: orjson.loads(found[name]) for name in ("traits", "provenance")}


def nodes_of(reader: Reader, profile: int) -> list[int]:
    """The nodes that make up a profile now."""
    return [row["node"] for row in reader.look_up(_NODES, {"profile": profile})]
