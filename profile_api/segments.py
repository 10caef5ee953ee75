"""Segments: declared as rules, kept up to date by the projections, read here."""

from typing import Any

import orjson
from fastapi import Response

from identity.nodes import profile_id
from profile_api import people, permits, rules, trial
from profile_api.auth import Caller, scope
from profile_api.call import note, sees_personal
from profile_api.cursors import read_cursor, write_cursor
from profile_api.declaring import SEGMENTS, accepted, position, state_of
from profile_api.deps import ApiDeps, Deps
from profile_api.models.examples import example
from profile_api.models.segments import Members, Preview, SegmentPage, Why
from profile_api.models.segments import Segment as SegmentAnswer
from profile_api.names import SeenOf
from profile_api.params import Cursor, Limit, Name, ProfileKey
from profile_api.permits import ForPurpose
from profile_api.replies import JsonReply, page
from profile_api.requests import PreviewIn, SegmentChange, SegmentIn
from profile_api.routes import guarded
from profile_api.rules import resolver
from profile_api.seen import Seen, refuse_objects, warnings
from profile_api.turns import declares, reads_much
from registry.models import SegmentDeclaration
from registry.scopes import READ, WRITE
from schemas.clock import iso
from schemas.errors import Conflict
from segments.sql import Query, compile_sql
from segments.tree import Rule
from segments.why import compile_why, why_tree

_SIZES = """SELECT segment, count() AS size FROM memberships FINAL
WHERE member AND segment IN {segments:Array(String)} GROUP BY segment"""
_MEMBERS = """SELECT profile, toUnixTimestamp64Milli(entered_at) AS entered_ms FROM memberships FINAL
WHERE segment = {segment:String} AND profile > {after:UInt128} AND member
ORDER BY profile LIMIT {limit:UInt32}"""
_SAMPLE = 10


def users_of(deps: ApiDeps, name: str) -> list[str]:
    """Segments, computed traits and triggers that name this segment, for people."""
    called = [t.id for t in deps.registry.triggers.values() if t.segment == name]
    made = [trait.id for trait in deps.registry.traits.values() if name in deps.trees.read_by(trait)]
    found = {"segment": rules.users_of(deps, name), "trait": made, "trigger": called}
    return [f"{kind} {one}" for kind, users in found.items() for one in sorted(users)]


def sizes(deps: ApiDeps, names: list[str]) -> dict[str, int]:
    rows = deps.reader.rows(_SIZES, {"segments": names}) if names else []
    return {row["segment"]: row["size"] for row in rows}


def view(deps: ApiDeps, segment: SegmentDeclaration, size: int) -> dict[str, Any]:
    return {
        "id": segment.id,
        "name": segment.name,
        "rule": segment.rule,
        "version": segment.version,
        "created_at": iso(segment.created_at),
        "size": size,
        **state_of(deps, segment.id),
    }


def one(deps: ApiDeps, name: str) -> dict[str, Any]:
    """A declared segment, or a deleted one as long as members are leaving it."""
    effect = deps.registry.effects.get(name)
    leaving = effect.leaving if effect else None
    if isinstance(leaving, SegmentDeclaration) and effect and position(deps) <= effect.offset:
        return view(deps, leaving, sizes(deps, [name]).get(name, 0))
    return view(deps, SEGMENTS.found(deps, name), sizes(deps, [name]).get(name, 0))


def preview(deps: ApiDeps, names: Seen, written: dict[str, Any]) -> dict[str, Any]:
    """How many profiles a rule would have now, and the first ten of them by id."""
    people.require_everybody(deps)
    rule = rules.checked(deps, written)
    refuse_objects(names, rule)
    query = compile_sql(rules.with_traits(deps, rule), deps.clock(), resolver(deps))
    sql = f"SELECT count() AS n, groupArraySorted({_SAMPLE})(profile) AS sample FROM ({query.sql})"
    row = trial.rows(deps, Query(sql, query.parameters))[0]
    note(profiles=row["sample"])
    answer = {"count": row["n"], "sample": [profile_id(profile) for profile in row["sample"]]}
    return answer | warned(names, rule)


def warned(names: Seen, rule: Rule) -> dict[str, Any]:
    found = warnings(names, rule) if sees_personal() else []  # they quote names that were seen
    return {"warnings": found} if found else {}


def members(deps: ApiDeps, name: str, limit: int, cursor: str | None, purpose: str | None) -> dict[str, Any]:
    """A page of a segment's members, by profile id. Under a purpose it is without those who do not allow it, and says
    how many of the page these are."""
    people.require_everybody(deps)
    after = read_cursor(deps.secret, "members", cursor, (int,))[0] if cursor else 0
    rows = deps.reader.rows(_MEMBERS, {"segment": name, "after": after, "limit": limit + 1})
    shown = rows[:limit]
    more = len(rows) > limit
    following = write_cursor(deps.secret, "members", [shown[-1]["profile"]]) if more else None
    told = shown if purpose is None else _allowing(deps, shown, purpose)
    note(profiles=[row["profile"] for row in told])
    items = [{"profile_id": profile_id(row["profile"]), "entered_at": iso(row["entered_ms"])} for row in told]
    return page(items, following) | ({} if purpose is None else {"left_out": len(shown) - len(told)})


def _allowing(deps: ApiDeps, members: list[dict[str, Any]], purpose: str) -> list[dict[str, Any]]:
    rows = people.rows_of(deps, [member["profile"] for member in members])
    allowed = {profile for profile, row in rows.items() if permits.is_allowed(deps, row, purpose)}
    return [member for member in members if member["profile"] in allowed]


def explained(deps: ApiDeps, segment: SegmentDeclaration, row: people.Row) -> dict[str, Any]:
    """The present truth of each node of the segment's rule for one profile, with its evidence. `member` is the
    membership published last; it may lag behind `why.holds`.
    """
    now = deps.clock()
    rule = resolver(deps)(segment.id)  # raises if it is set aside
    return {
        "segment": segment.id,
        "version": segment.version,
        "profile_id": profile_id(row["profile"]),
        "member": segment.id in {name for name, _ in row["memberships"]},
        "at": iso(now),
        "why": rule_why(deps, rule, now, row["profile"]),
    }


def rule_why(deps: ApiDeps, rule: Rule, now: int, profile: int) -> dict[str, Any]:
    """The truth of each node of a rule for one profile, with its evidence."""
    resolve = resolver(deps)
    truths, evidence = {}, {}
    for pointer, query in compile_why(rule, now, profile, resolve):
        answer = deps.reader.rows(query.sql, query.parameters)[0]
        truths[pointer] = bool(answer.pop("holds"))
        if answer:
            evidence[pointer] = evidence_view(answer)
    return why_tree(rule, truths, evidence, resolve)


def evidence_view(answer: dict[str, Any]) -> dict[str, Any]:
    """What decided a leaf: the newest events that count and how many do, or the value that was tested."""
    told: dict[str, Any] = {}
    if "value" in answer:
        told["value"] = None if answer["value"] is None else orjson.loads(answer["value"])
    if "events" in answer:
        events = [{"source": source, "id": name, "time": iso(at)} for source, name, at in answer["events"]]
        told |= {"events": events, "matched": answer["matched"]}
    return told


def put(deps: ApiDeps, names: Seen, name: str, body: dict[str, Any], by: str, done: int) -> JsonReply:
    """Declare a segment and wait until it is live and back-filled: `done` is the status then. 202 if that takes longer
    than a request should, or is impossible: the state says which."""
    rule = rules.checked(deps, body["rule"], name)
    refuse_objects(names, rule)
    with deps.turns:
        rules.try_out(deps, rule, name)
    offset = deps.registry.declare("segment", name, body, by)

    def answer() -> dict[str, Any]:
        if declared := deps.registry.segments.get(name):
            deps.trees.keep(declared, rule)
        return one(deps, name) | warned(names, rule)

    return SEGMENTS.once_in_effect(deps, name, offset, answer, done)


_ACCEPTED = accepted(SegmentAnswer)

routes = guarded("segments", "/v1/segments")


@routes.get("", response_model=SegmentPage, responses=example(SegmentPage))
@scope(READ)
@reads_much
def list_segments(deps: Deps) -> JsonReply:
    """List all segments with their size, by id."""
    declared = SEGMENTS.all(deps)
    size = sizes(deps, [segment.id for segment in declared])
    return JsonReply(page([view(deps, segment, size.get(segment.id, 0)) for segment in declared]))


@routes.post(
    "",
    status_code=201,
    response_model=SegmentAnswer,
    responses={**example(SegmentAnswer, 201, "Live and back-filled."), **_ACCEPTED},
)
@scope(WRITE)
@declares
def create_segment(deps: Deps, names: SeenOf, body: SegmentIn, by: Caller) -> JsonReply:
    """Declare a segment. The answer comes once it is live and back-filled. The back-fill calls no trigger."""
    SEGMENTS.require_new(deps, body.id)
    return put(deps, names, body.id, {"name": body.name, "rule": body.rule, "version": 1}, by, 201)


@routes.post("/preview", response_model=Preview, responses=example(Preview))
@scope(READ)
@reads_much
def preview_segment(deps: Deps, names: SeenOf, body: PreviewIn) -> JsonReply:
    """Count the profiles that meet a rule now, and return up to ten of them. Declares nothing."""
    return JsonReply(preview(deps, names, body.rule))


@routes.get("/{name}", response_model=SegmentAnswer, responses=example(SegmentAnswer))
@scope(READ)
def one_segment(deps: Deps, name: Name) -> JsonReply:
    """Return a segment with its rule, size and state."""
    return JsonReply(one(deps, name))


@routes.put("/{name}", response_model=SegmentAnswer, responses={**example(SegmentAnswer), **_ACCEPTED})
@scope(WRITE)
@declares
def change_segment(deps: Deps, names: SeenOf, name: Name, body: SegmentChange, by: Caller) -> JsonReply:
    """Change the rule or the name of a segment, which makes the next version. The answer comes once its members are
    those of the new rule.
    """
    known = SEGMENTS.to_change(deps, name, body.id)
    title = known.name if body.name is None else body.name
    changed = {"name": title, "rule": body.rule, "version": known.version + 1}
    return put(deps, names, name, changed, by, 200)


@routes.delete(
    "/{name}",
    status_code=204,
    response_class=Response,
    responses={204: {"description": "Its members have left."}, **_ACCEPTED},
)
@scope(WRITE)
@declares
def delete_segment(deps: Deps, name: Name, by: Caller) -> Response:
    """Delete a segment that no other segment and no trigger names."""
    SEGMENTS.found(deps, name)
    if users := users_of(deps, name):
        raise Conflict(
            f"segment: wanted one that nothing uses, got one that {', '.join(users)} uses; change or delete that first",
            code="in_use",
        )
    return SEGMENTS.once_gone(deps, name, deps.registry.withdraw("segment", name, by), lambda: one(deps, name))


@routes.get("/{name}/members", response_model=Members, responses=example(Members))
@scope(READ)
@reads_much
def segment_members(
    deps: Deps, name: Name, purpose: ForPurpose = None, limit: Limit = 100, cursor: Cursor = None
) -> JsonReply:
    """List the members of a segment, by profile id. With `purpose`, those who allow it; `left_out` says how many of the
    page do not."""
    SEGMENTS.found(deps, name)
    return JsonReply(members(deps, name, limit, cursor, permits.checked(deps, purpose)))


@routes.get("/{name}/why/{key:path}", response_model=Why, responses=example(Why))
@scope(READ)
@reads_much
def why(deps: Deps, name: Name, key: ProfileKey) -> JsonReply:
    """Explain why a profile is in a segment or not: whether each node of the rule holds, and the evidence."""
    segment = SEGMENTS.found(deps, name)
    row = people.profile_row(deps, key)
    return JsonReply(explained(deps, segment, row))
