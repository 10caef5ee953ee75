"""A person's consent: stating it, and the history of what was stated."""

from collections.abc import Mapping
from typing import Annotated, Any

import orjson
from fastapi import Query

from eventlog.port import Position
from profile_api import people
from profile_api.auth import Caller, scope
from profile_api.cursors import read_cursor, write_cursor
from profile_api.deps import ApiDeps, Deps
from profile_api.models.consent import StatementPage
from profile_api.models.examples import example
from profile_api.models.profiles import Profile
from profile_api.params import Cursor, Limit, ProfileKey, moment_of
from profile_api.profiles import view_of
from profile_api.replies import JsonReply, page
from profile_api.requests import ConsentIn
from profile_api.routes import guarded
from profile_api.statements import Stated
from profile_api.status import freshness
from profile_api.turns import declares, reads_much
from profile_api.views import DEFAULT_PARTS
from profile_api.waiting import not_visible, waited_for
from registry.scopes import READ, STEWARD
from schemas import topics
from schemas.clock import iso
from schemas.errors import Conflict
from schemas.order import received_of, time_of

_HISTORY = """SELECT purpose, ver, value, source, channel, detail FROM consents
WHERE node IN {nodes:Array(UInt128)} AND ({purpose:String} = '' OR purpose = {purpose:String})
  AND (ver, purpose) < ({ver:UInt256}, {last:String})
ORDER BY ver DESC, purpose DESC LIMIT 1 BY ver, purpose LIMIT {limit:UInt32}"""
_LATEST = (1 << 256) - 1


def state(deps: ApiDeps, key: str, body: ConsentIn, by: str) -> dict[str, Any]:
    """Record what the person of a profile allows; returns the view once it shows the change.

    The statement belongs to the identifier that the key names, or for a profile id to the founder: it follows that
    identifier in merges and splits. Raises `NotFound`, and `Backpressure` (`not_visible_yet`) if it is recorded but not
    visible in time.
    """
    node = people.node_of_key(deps, key)
    row = people.profile_row(deps, key)
    detail = {"reason": body.reason, "stated_by": by}
    identifier = _identifier(deps, row, node)
    at = moment_of("at", body.at)
    _wait_for(deps, deps.state_consent(Stated(identifier, body.consent, deps.clock(), at, detail)))
    fresh = freshness(deps)
    answer = view_of(deps, people.profile_row(deps, key), (*DEFAULT_PARTS, "purposes"), fresh)
    unknown = sorted(set(body.consent) - deps.registry.purposes.keys())
    if unknown:
        message = "not declared: it is on record, and means nothing to a trigger until it is; see /v1/purposes"
        answer["warnings"] = [{"purpose": name, "message": f"purpose {name}: {message}"} for name in unknown]
    return answer


def _identifier(deps: ApiDeps, row: people.Row, node: int) -> tuple[str, str]:
    """The identifier that a node of the profile stands for, else another one of the profile."""
    identifiers = [(kind, value) for kind, value, *_ in row["identifiers"]]
    for kind, value in identifiers:
        if people.present(deps, kind, value) == node:
            return kind, value
    if not identifiers:
        raise Conflict(
            "consent: wanted a profile with an identifier, got one without; name the person by an identifier",
            code="no_identifier",
        )
    return identifiers[0]


def _wait_for(deps: ApiDeps, place: Position) -> None:
    """Block until views include this record of simorgh.events."""
    part, offset = place
    shown = deps.projections.shown or (lambda: deps.log.committed(topics.PROJECTIONS, topics.EVENTS))
    if not waited_for(deps, lambda: shown()[part] > offset):
        raise not_visible("consent")


def history(deps: ApiDeps, profile: int, purpose: str, limit: int, cursor: str | None) -> dict[str, Any]:
    """A page of the statements of a profile's present identifiers, latest first in the total order of events."""
    ver, last = read_cursor(deps.secret, "consent", cursor, (int, str)) if cursor else (_LATEST, "")
    bound = {"nodes": people.nodes_of(deps.reader, profile), "purpose": purpose, "ver": ver, "last": last}
    rows = deps.reader.rows(_HISTORY, bound | {"limit": limit + 1})
    shown = rows[:limit]
    more = len(rows) > limit
    following = write_cursor(deps.secret, "consent", (shown[-1]["ver"], shown[-1]["purpose"])) if more else None
    return page([statement_view(row) for row in shown], following)


def statement_view(row: Mapping[str, Any]) -> dict[str, Any]:
    """`choice`: null if the statement was taken back."""
    detail = orjson.loads(row["detail"]) if row["detail"] else {}
    return {
        "purpose": row["purpose"],
        "choice": None if row["value"] is None else orjson.loads(row["value"]),
        "at": iso(time_of(row["ver"])),
        "received_at": iso(received_of(row["ver"])),
        "source": row["source"],
        "channel": row["channel"],
        **{name: detail[name] for name in ("reason", "stated_by") if detail.get(name)},
    }


routes = guarded("consent", "/v1/profiles")


@routes.post("/{key:path}/consent", response_model=Profile, responses=example(Profile))
@scope(STEWARD)
@declares
def state_consent(deps: Deps, key: ProfileKey, body: ConsentIn, by: Caller) -> JsonReply:
    """Record what the person allows and what they do not. Returns the profile's view once the change is visible. If a
    statement with a later time exists, that one stays in force."""
    return JsonReply(state(deps, key, body, by))


@routes.get("/{key:path}/consent", response_model=StatementPage, responses=example(StatementPage))
@scope(READ)
@reads_much
def consent_history(
    deps: Deps,
    key: ProfileKey,
    purpose: Annotated[str, Query(max_length=200, description="Only statements about this purpose.")] = "",
    limit: Limit = 50,
    cursor: Cursor = None,
) -> JsonReply:
    """List every statement of the profile's consent with its source and time, latest first."""
    row = people.profile_row(deps, key)
    return JsonReply(history(deps, row["profile"], purpose, limit, cursor))
