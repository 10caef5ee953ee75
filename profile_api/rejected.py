"""Rejected events: what failed, why, the original bytes; and trying again."""

from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Any

import orjson
from fastapi import Depends, Query, Request, Response

from profile_api import views
from profile_api.auth import scope
from profile_api.call import note, require_personal
from profile_api.cursors import read_cursor, write_cursor
from profile_api.deps import ApiDeps, Deps
from profile_api.models.examples import example
from profile_api.models.operations import Dismissed, RejectedEvent, RejectedPage, Retried, RetryOutcome
from profile_api.params import END_OF_TIME, Cursor, Limit, Moment, Name, moment_of
from profile_api.replies import JsonReply, page
from profile_api.requests import RejectedFilter
from profile_api.routes import guarded
from profile_api.turns import reads_much
from registry.scopes import ADMIN
from schemas import topics
from schemas.errors import Conflict, InvalidInput, NotFound

# The driver reads text that is not UTF-8 as hex, so such bytes leave as base64.
_COLUMNS = """id, digest, code, reason, source, channel, toUnixTimestamp64Milli(received_at) AS received_ms, place,
    isValidUTF8(payload) AS is_text, if(is_text, payload, '') AS text, if(is_text, '',
    base64Encode(payload)) AS base64, webhook, resolved
    """
_LIST = f"""SELECT {_COLUMNS} FROM rejected FINAL
WHERE resolved = {{resolved:UInt8}} AND ({{source:String}} = '' OR source = {{source:String}})
  AND ({{code:String}} = '' OR code = {{code:String}})
  AND received_at >= fromUnixTimestamp64Milli({{since:Int64}})
  AND received_at < fromUnixTimestamp64Milli({{until:Int64}})
  AND (toUnixTimestamp64Milli(received_at), source, id, digest)
    < ({{ms:Int64}}, {{after:String}}, {{id:String}}, {{digest:UInt64}})
ORDER BY received_at DESC, source DESC, id DESC, digest DESC LIMIT {{limit:UInt32}}"""
_ONE = f"""SELECT {_COLUMNS} FROM rejected FINAL
WHERE id = {{id:String}} AND ({{source:String}} = '' OR source = {{source:String}})
ORDER BY resolved, received_at DESC, digest DESC LIMIT 1 BY source LIMIT 20"""

Source = Annotated[str, Query(max_length=200, description="Its source, if several sources sent this id.")]


@dataclass(frozen=True, slots=True)
class Which:
    """A filter for rejected events. Empty members match all. Moments are ms; `until` is exclusive."""

    source: str = ""
    code: str = ""
    since: int | None = None
    until: int | None = None

    def parameters(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "code": self.code,
            "since": self.since or 0,
            "until": END_OF_TIME if self.until is None else self.until,
        }


def find(deps: ApiDeps, name: str, source: str = "") -> dict[str, Any]:
    """The row of a rejected event; of several with one id of a source, the latest open one. Raises `NotFound`, and
    `Conflict` (code `ambiguous_id`) if several sources have this id and none is named; `Denied` if the caller may not
    see ids that senders gave.
    """
    require_personal("rejected event by its id")
    rows = deps.reader.rows(_ONE, {"id": name, "source": source})
    if not rows:
        note(sought=[name])
        raise NotFound("rejected event: wanted the id of one, got an unknown id; see /v1/rejected")
    if len(rows) > 1:
        candidates = ", ".join(sorted(row["source"] for row in rows))
        raise Conflict(
            f"rejected event: wanted an id of one source, got one of several ({candidates}); choose one of them with"
            " ?source=",
            code="ambiguous_id",
        )
    note(others=1)
    return rows[0]


def listed(deps: ApiDeps, which: Which, limit: int, cursor: str | None, *, resolved: bool = False) -> dict[str, Any]:
    following, rows = _page_of(deps, which, limit, cursor, resolved=resolved)
    note(others=len(rows))
    return page([views.rejected_view(row) for row in rows], following)


def _page_of(
    deps: ApiDeps, which: Which, limit: int, cursor: str | None, *, resolved: bool = False
) -> tuple[str | None, list[dict[str, Any]]]:
    """The cursor of the page that follows, and the rows of this one."""
    shape, start = (int, str, str, int), (1 << 62, "", "", 0)
    ms, source, name, digest = read_cursor(deps.secret, "rejected events", cursor, shape) if cursor else start
    after = {"ms": ms, "after": source, "id": name, "digest": digest, "limit": limit + 1, "resolved": int(resolved)}
    rows = deps.reader.rows(_LIST, which.parameters() | after)
    last = rows[limit - 1] if len(rows) > limit else None
    keys = (last["received_ms"], last["source"], last["id"], last["digest"]) if last else None
    return write_cursor(deps.secret, "rejected events", keys) if keys else None, rows[:limit]


# ---- settling them


def record_of(row: dict[str, Any]) -> dict[str, Any]:
    """The record of simorgh.rejected that a row was made from."""
    return views.rejected_view(row) | {"digest": row["digest"], "place": row["place"]}


def dismiss(deps: ApiDeps, rows: list[dict[str, Any]]) -> None:
    """Settle rejected events without admitting them: a record each, so that replays know it too."""
    settled = [(row["id"].encode(), orjson.dumps({**record_of(row), "resolved": True})) for row in rows]
    if settled:
        deps.log.append(topics.REJECTED, settled)


def retried(deps: ApiDeps, row: dict[str, Any]) -> str:
    """`accepted`, or `rejected`, also if its source no longer exists."""
    try:
        return str(deps.retry_rejected(record_of(row), None)["status"])
    except NotFound:
        return "rejected"


def several(deps: ApiDeps, body: RejectedFilter) -> tuple[str | None, list[dict[str, Any]]]:
    """The rejected events that a request selects, one page. Raises `InvalidInput` if it selects all."""
    which = Which(body.source, body.code, moment_of("since", body.since), moment_of("until", body.until))
    if which == Which():
        raise InvalidInput(
            "filter: wanted one of source, code, since and until, got none; say which rejected events are meant",
            code="no_filter",
        )
    following, rows = _page_of(deps, which, body.limit, body.cursor)
    note(others=len(rows))
    return following, rows


async def raw_body(request: Request) -> bytes:
    return await request.body()


routes = guarded("rejected events", "/v1/rejected")


@routes.get("", response_model=RejectedPage, responses=example(RejectedPage))
@scope(ADMIN)
@reads_much
def list_rejected(
    deps: Deps,
    source: Annotated[str, Query(max_length=200, description="Only from this source.")] = "",
    code: Annotated[str, Query(max_length=200, description="Only with this code.")] = "",
    since: Annotated[Moment | None, Query(description="Only events received then or later.")] = None,
    until: Annotated[Moment | None, Query(description="Only events received earlier.")] = None,
    resolved: Annotated[
        bool, Query(description="Only events that a retry or a dismissal has resolved, instead of the open ones.")
    ] = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> JsonReply:
    """List the open rejected events, latest first."""
    return JsonReply(listed(deps, Which(source, code, since, until), limit, cursor, resolved=resolved))


@routes.post("/retry", response_model=Retried, responses=example(Retried))
@scope(ADMIN)
def retry_several(deps: Deps, body: RejectedFilter) -> JsonReply:
    """Retry all rejected events that match a filter, as sent, latest first. Continue with `next_cursor`."""
    following, rows = several(deps, body)
    outcomes = Counter(retried(deps, row) for row in rows)
    counts = {name: outcomes[name] for name in ("accepted", "rejected")}
    return JsonReply({"matched": len(rows), **counts, "next_cursor": following})


@routes.post("/dismiss", response_model=Dismissed, responses=example(Dismissed))
@scope(ADMIN)
def dismiss_several(deps: Deps, body: RejectedFilter) -> JsonReply:
    """Dismiss all rejected events that match a filter. Continue with `next_cursor`."""
    following, rows = several(deps, body)
    dismiss(deps, rows)
    return JsonReply({"dismissed": len(rows), "next_cursor": following})


@routes.post(
    "/{name:path}/retry",
    response_model=RetryOutcome,
    responses=example(RetryOutcome),
    openapi_extra={
        "requestBody": {
            "description": "The corrected event. Without a body, the original bytes are retried.",
            "required": False,
            "content": {"application/json": {"schema": {}, "example": {"type": "track", "event": "Signed Up"}}},
        }
    },
)
@scope(ADMIN)
def retry_rejected(
    deps: Deps, name: Name, payload: Annotated[bytes, Depends(raw_body)], source: Source = ""
) -> JsonReply:
    """Retry a rejected event, as sent or corrected, under its id and its time of receipt.

    A `conflicting_copy` cannot be retried, since under its id it would be a copy again.
    """
    return JsonReply(deps.retry_rejected(record_of(find(deps, name, source)), payload or None))


@routes.post(
    "/{name:path}/dismiss",
    status_code=204,
    responses={204: {"description": "Dismissed. It stays on record."}},
)
@scope(ADMIN)
def dismiss_rejected(deps: Deps, name: Name, source: Source = "") -> Response:
    """Dismiss a rejected event. It leaves the list of open events and stays on record."""
    dismiss(deps, [find(deps, name, source)])
    return Response(status_code=204)


@routes.get("/{name:path}", response_model=RejectedEvent, responses=example(RejectedEvent))
@scope(ADMIN)
def one_rejected(deps: Deps, name: Name, source: Source = "") -> JsonReply:
    """Return a rejected event with its original bytes."""
    return JsonReply(views.rejected_view(find(deps, name, source)))
