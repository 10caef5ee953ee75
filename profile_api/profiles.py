"""Profiles: the 360° view, many at once, search, the timeline, identities."""

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Final, Literal

from fastapi import Query
from fastapi.concurrency import run_in_threadpool

from identity.nodes import from_hex, to_hex
from profile_api import people, permits, places, views
from profile_api.auth import scope
from profile_api.call import note, require_personal
from profile_api.cursors import read_cursor, write_cursor
from profile_api.deps import ApiDeps, Deps
from profile_api.models.consent import MaskedProfile
from profile_api.models.examples import example
from profile_api.models.profiles import EventPage, Identities, LookupAnswer, Profile, ProfilePage
from profile_api.params import Cursor, Limit, ProfileKey
from profile_api.permits import ForPurpose
from profile_api.replies import JsonReply, page
from profile_api.requests import LookupIn
from profile_api.routes import guarded
from profile_api.status import freshness
from profile_api.turns import reads_much
from registry.scopes import READ
from schemas.errors import InvalidInput
from schemas.order import NEWEST_FIRST
from warehouse.reader import Reader

_EVENTS_IN_VIEW = 50

_PART = "|".join(views.PARTS)
Include = Annotated[
    str | None,
    Query(
        description=f"Parts of the view, comma-separated: {', '.join(views.PARTS)}. Default: all but accounts and"
        " events.",
        json_schema_extra={"pattern": f"^(({_PART})(,({_PART}))*)?$"},
        examples=["traits,segments"],
    ),
]

# Keys first, payloads of one page after: a profile's events may be a million. LIMIT 1 BY: one per event,
# should the last batch before a crash stand twice.
_TIMELINE = f"""SELECT toUnixTimestamp64Milli(time) AS ms, toUnixTimestamp64Milli(received_at) AS received_ms,
    place, key, payload, key IN
    (SELECT key FROM retellings WHERE node IN {{nodes:Array(UInt128)}}) AS retold FROM events
WHERE (node, time, part, off) IN (
    SELECT node, time, part, off FROM events
    WHERE node IN {{nodes:Array(UInt128)}} AND ({{type:String}} = '' OR type = {{type:String}})
      AND (time, received_at, place, key) < (fromUnixTimestamp64Milli({{ms:Int64}}),
        fromUnixTimestamp64Milli({{received:Int64}}), {{place:UInt64}}, {{key:UInt128}})
    ORDER BY {NEWEST_FIRST} LIMIT 1 BY key LIMIT {{limit:UInt32}})
ORDER BY {NEWEST_FIRST} LIMIT 1 BY key"""
END_OF_TIME = (10_413_791_999_000, 10_413_791_999_000, 1 << 62, (1 << 128) - 1)

_MATCHES = """live AND ({search:String} = '' OR startsWith(name, {search:String}) OR startsWith(email, {search:String})
       OR profile IN {found:Array(UInt128)})"""
_BY_ID = f"""SELECT profile FROM profile_rows FINAL WHERE profile > {{profile:UInt128}} AND {_MATCHES}
ORDER BY profile LIMIT {{limit:UInt32}}"""
_BY_TIME = """SELECT profile, toUnixTimestamp64Milli({column}) AS ms FROM profile_rows FINAL
WHERE (toUnixTimestamp64Milli({column}), profile) < ({{ms:Int64}}, {{profile:UInt128}}) AND {matches}
ORDER BY {column} DESC, profile DESC LIMIT {{limit:UInt32}}"""

Order = Literal["id", "newest", "latest"]
_COLUMNS: Final[Mapping[Order, str]] = {"newest": "first_seen", "latest": "last_seen"}

_TYPES = "SELECT DISTINCT type FROM identifiers LIMIT 100"

_DECISIONS = """SELECT off, n, toUnixTimestamp64Milli(any(at)) AS at_ms, any(outcome) AS outcome,
    any(detail) AS detail
FROM decisions WHERE node IN {nodes:Array(UInt128)} GROUP BY off, n ORDER BY off DESC, n DESC LIMIT 1000"""
_IDENTIFIERS = "SELECT DISTINCT node, type, value FROM identifiers WHERE node IN {nodes:Array(UInt128)}"
_EVENTS = """SELECT key, any(JSONExtractString(payload, 'id')) AS id, toUnixTimestamp64Milli(any(time)) AS ms
FROM events WHERE node IN {nodes:Array(UInt128)} AND key IN {keys:Array(UInt128)} GROUP BY key"""


def parts_of(include: str | None) -> tuple[str, ...]:
    """The parts that `include` names; with consent comes what it allows. Raises `InvalidInput` for a name that is
    none."""
    if include is None:
        return views.DEFAULT_PARTS
    parts = tuple(part.strip() for part in include.split(",") if part.strip())
    if not set(parts) <= set(views.PARTS):
        raise InvalidInput(
            f"include: wanted some of {', '.join(views.PARTS)}, got something else; leave it out for all but events",
            code="invalid_include",
        )
    return (*parts, "purposes") if "consent" in parts else parts


def view_of(
    deps: ApiDeps,
    row: people.Row,
    parts: tuple[str, ...],
    fresh: dict[str, Any],
    *,
    provenance: bool = False,
    purpose: str | None = None,
) -> dict[str, Any]:
    """The 360° view of a row; under a `purpose` that the profile does not allow, its id and consent alone."""
    if purpose is not None and not permits.is_allowed(deps, row, purpose):
        return permits.masked(deps, row, purpose)
    events = timeline(deps, row["profile"], _EVENTS_IN_VIEW, None, "") if "events" in parts else None
    if provenance and "traits" in parts:
        row = people.with_origins(deps, row)
    purposes = permits.purposes(deps, row) if "purposes" in parts else None
    accounts = places.places_of(deps, row["profile"]) if "accounts" in parts else None
    return views.profile_view(row, deps.workspace, fresh, parts, purposes=purposes, events=events, accounts=accounts)


def profile_reply(deps: ApiDeps, key: str, parts: tuple[str, ...], provenance: bool, purpose: str | None) -> JsonReply:
    fresh = freshness(deps)  # before the rows: they hold at least this much
    row = people.profile_row(deps, key)
    return JsonReply(view_of(deps, row, parts, fresh, provenance=provenance, purpose=purpose))


def timeline(deps: ApiDeps, profile: int, limit: int, cursor: str | None, kind: str) -> dict[str, Any]:
    """A page of a profile's events, newest first in the total order of events (`schemas.order`). Later
    arrivals never shift the pages below a cursor.
    """
    after = read_cursor(deps.secret, "timeline", cursor, (int, int, int, int)) if cursor else END_OF_TIME
    bounds = dict(zip(("ms", "received", "place", "key"), after, strict=True))
    nodes = people.nodes_of(deps.reader, profile)
    rows = deps.reader.rows(_TIMELINE, {"nodes": nodes, "type": kind, "limit": limit + 1, **bounds})
    shown = rows[:limit]
    last = [shown[-1][name] for name in ("ms", "received_ms", "place", "key")] if len(rows) > limit else None
    following = write_cursor(deps.secret, "timeline", last) if last else None
    names = names_of(deps.reader, [node for row in shown for node in views.nodes_of(row["payload"])])
    return page([views.told_view(row["payload"], names, counts=not row["retold"]) for row in shown], following)


def names_of(reader: Reader, nodes: Collection[str]) -> dict[str, str]:
    """What nodes stand for, both in hex and normalised; those of which nothing is known are left out."""
    if not nodes:
        return {}
    rows = reader.rows(_IDENTIFIERS, {"nodes": sorted({from_hex(node) for node in nodes})})
    return {to_hex(row["node"]): row["value"] for row in rows}


def lookup(deps: ApiDeps, keys: list[str], parts: tuple[str, ...], purpose: str | None) -> list[dict[str, Any]]:
    """One item per key, in order, with a few queries however many keys there are. Null: nobody has the key, or several
    do (see `people.node_of_key`)."""
    fresh = freshness(deps)
    whose = dict(zip(keys, people.profiles_of_keys(deps, keys), strict=True))
    rows = people.rows_of(deps, sorted(set(whose.values()) - {0}))
    if not rows.keys() >= set(whose.values()) - {0}:
        people.require_everybody(deps)
    found = {profile: view_of(deps, row, parts, fresh, purpose=purpose) for profile, row in rows.items()}
    return [{"key": key, "profile": found.get(whose[key])} for key in keys]


def search(
    deps: ApiDeps, text: str, limit: int, cursor: str | None, order: Order | None, purpose: str | None
) -> dict[str, Any]:
    """Profiles that have the text as an identifier, or as the beginning of name or email; all without a text. Reading
    by `id` meets every profile that exists from the first page to the last exactly once. Reading by `newest` (first
    seen) does too, except for profiles that get an earlier event meanwhile, or are split. `latest` (last seen) shows
    the present: an active profile moves to the top.
    """
    if text:
        require_personal("search")
    people.require_everybody(deps)
    order = order or ("newest" if text else "id")
    following, rows = _page_of(deps, text, limit, cursor, order)
    fresh = freshness(deps)
    full = people.rows_of(deps, rows)
    note(sought=[text] if text and not full else [])
    shown = [view_of(deps, full[row], views.DEFAULT_PARTS, fresh, purpose=purpose) for row in rows if row in full]
    return page(shown, following)


def _page_of(deps: ApiDeps, text: str, limit: int, cursor: str | None, order: Order) -> tuple[str | None, list[int]]:
    """The cursor of the page that follows, and the profiles of this one."""
    kind = f"profiles by {order}"
    asked = {
        "search": text.strip().lower(), "found": _profiles_with_identifier(deps, text), "limit": limit + 1
    }  # fmt: skip
    if order == "id":
        after = read_cursor(deps.secret, kind, cursor, (int,))[0] if cursor else 0
        rows = deps.reader.rows(_BY_ID, asked | {"profile": after})
    else:
        ms, after = read_cursor(deps.secret, kind, cursor, (int, int)) if cursor else (1 << 62, (1 << 128) - 1)
        sql = _BY_TIME.format(column=_COLUMNS[order], matches=_MATCHES)
        rows = deps.reader.rows(sql, asked | {"ms": ms, "profile": after})
    shown = [row["profile"] for row in rows[:limit]]
    if len(rows) <= limit:
        return None, shown
    last = rows[limit - 1]
    keys = (last["profile"],) if order == "id" else (last["ms"], last["profile"])
    return write_cursor(deps.secret, kind, keys), shown


def _profiles_with_identifier(deps: ApiDeps, text: str) -> list[int]:
    """Profiles for which the text is an identifier of any known type, or a key.

    A query string's `+` reads as a space, as in phone numbers: both readings are tried.
    """
    values = {text, text.replace(" ", "+")} - {""}
    kinds = [row["type"] for row in deps.reader.rows(_TYPES)] if values else []
    keys = values | {f"{kind}:{value}" for kind in kinds for value in values}
    nodes = {node for key in keys for node in people.nodes_or_none(deps, key)}
    return sorted(set(deps.views.owners(nodes).values()))


def decisions(deps: ApiDeps, profile: int) -> list[dict[str, Any]]:
    """What identity decided about the profile's nodes and why, latest first; at most the latest 1,000."""
    nodes = people.nodes_of(deps.reader, profile)
    rows = deps.reader.rows(_DECISIONS, {"nodes": nodes})
    named = views.nodes_named(row["detail"] for row in rows)
    identifiers: dict[str, list[dict[str, Any]]] = {}
    for row in deps.reader.rows(_IDENTIFIERS, {"nodes": [int(name, 16) for name in named]}):
        known = {"type": row["type"], "value": row["value"]}
        identifiers.setdefault(to_hex(row["node"]), []).append(known)
    events = _events_named(deps, [row["detail"] for row in rows])
    return [views.decision_view(row, identifiers, events) for row in rows]


def _events_named(deps: ApiDeps, details: list[str]) -> dict[str, tuple[str, int]]:
    """Key (hex) -> id and time in ms of the events that decisions came of: links name them by key alone."""
    named = views.events_named(details)
    bound = {"nodes": sorted({anchor for _, anchor in named}), "keys": sorted({key for key, _ in named})}
    rows = deps.reader.look_up(_EVENTS, bound) if named else []
    return {to_hex(row["key"]): (row["id"], row["ms"]) for row in rows}


routes = guarded("profiles", "/v1/profiles")


@routes.get("", response_model=ProfilePage, responses=example(ProfilePage))
@scope(READ)
@reads_much
def find_profiles(
    deps: Deps,
    search_for: Annotated[
        str,
        Query(
            alias="search",
            max_length=500,
            description="An identifier, or the beginning of a name or email address.",
        ),
    ] = "",
    order: Annotated[
        Order | None,
        Query(
            description="`id`, `newest` (those seen for the first time most recently) or `latest` (the most recent"
            " activity first). Default: `newest` with `search`, else `id`.",
        ),
    ] = None,
    purpose: ForPurpose = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> JsonReply:
    """Find profiles by identifier, name or email address. Without `search`, list all profiles by id."""
    return JsonReply(search(deps, search_for, limit, cursor, order, permits.checked(deps, purpose)))


@routes.post("/lookup", response_model=LookupAnswer, responses=example(LookupAnswer))
@scope(READ)
@reads_much
def look_up_profiles(deps: Deps, body: LookupIn, purpose: ForPurpose = None) -> JsonReply:
    """Look up the 360° views of up to 1,000 identifiers and 1,000 profile ids at once."""
    keys = [f"{one.type}:{one.value}" for one in body.identifiers] + body.profiles
    parts = parts_of(None if body.include is None else ",".join(body.include))
    return JsonReply({"items": lookup(deps, keys, parts, permits.checked(deps, purpose))})


@routes.get("/{key:path}/events", response_model=EventPage, responses=example(EventPage))
@scope(READ)
@reads_much
def profile_events(
    deps: Deps,
    key: ProfileKey,
    kind: Annotated[
        str,
        Query(
            alias="type",
            max_length=200,
            description="Only this event type.",
            examples=["order.completed"],
        ),
    ] = "",
    purpose: ForPurpose = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> JsonReply:
    """List the events of a profile, newest first."""
    row = people.profile_row(deps, key)
    permits.require(deps, row, permits.checked(deps, purpose))
    return JsonReply(timeline(deps, row["profile"], limit, cursor, kind))


@routes.get("/{key:path}/identities", response_model=Identities, responses=example(Identities))
@scope(READ)
@reads_much
def profile_identities(
    deps: Deps,
    key: ProfileKey,
    explain: Annotated[bool, Query(description="Add merges, refusals and splits, with their reasons.")] = False,
    purpose: ForPurpose = None,
) -> JsonReply:
    """List the identifiers of a profile, and with `explain=true` the decisions about them."""
    row = people.profile_row(deps, key)
    permits.require(deps, row, permits.checked(deps, purpose))
    answer = page(views.identities(row["identifiers"]))
    if explain:
        answer["decisions"] = decisions(deps, row["profile"])
    return JsonReply(answer)


@routes.get("/{key:path}", response_model=Profile | MaskedProfile, responses=example(Profile))
@scope(READ)
async def profile(
    deps: Deps,
    key: ProfileKey,
    include: Include = None,
    provenance: Annotated[bool, Query(description="Add source, channel and time to each trait.")] = False,
    purpose: ForPurpose = None,
) -> JsonReply:
    """Return the 360° view of a profile, by any identifier or by its id. The id of a merged profile works too."""
    parts, purpose = parts_of(include), permits.checked(deps, purpose)
    if deps.projections.at_hand and not {"events", "accounts"} & set(parts) and not provenance:
        fresh = freshness(deps)
        row = people.recent_row(deps, key)
        if row is not None and permits.is_at_hand(row):
            return JsonReply(view_of(deps, row, parts, fresh, purpose=purpose))
    return await run_in_threadpool(profile_reply, deps, key, parts, provenance, purpose)
