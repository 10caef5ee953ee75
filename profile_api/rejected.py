"""Rejected events: what failed, why, the original bytes; and trying again."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from profile_api import views
from profile_api.auth import scope
from profile_api.cursors import read_cursor, write_cursor
from profile_api.deps import ApiDeps
from profile_api.models.examples import example
from profile_api.models.operations import Outcome, RejectedEvent, RejectedPage
from profile_api.params import Cursor, Limit, Name
from profile_api.replies import JsonReply, page
from registry.scopes import ADMIN
from schemas.errors import Conflict, NotFound

# The driver reads text that is not UTF-8 as hex, so such bytes leave as base64.
_COLUMNS = """id, digest, code, reason, source, channel, toUnixTimestamp64Milli(received_at) AS received_ms, place,
    isValidUTF8(payload) AS is_text, if(is_text, payload, '') AS text, if(is_text, '',
    base64Encode(payload)) AS base64, resolved
    """
_LIST = f"""SELECT {_COLUMNS} FROM rejected FINAL
WHERE resolved = {{resolved:UInt8}} AND ({{source:String}} = '' OR source = {{source:String}})
  AND ({{code:String}} = '' OR code = {{code:String}})
  AND (toUnixTimestamp64Milli(received_at), source, id, digest)
    < ({{ms:Int64}}, {{after:String}}, {{id:String}}, {{digest:UInt64}})
ORDER BY received_at DESC, source DESC, id DESC, digest DESC LIMIT {{limit:UInt32}}"""
_ONE = f"""SELECT {_COLUMNS} FROM rejected FINAL
WHERE id = {{id:String}} AND ({{source:String}} = '' OR source = {{source:String}})
ORDER BY resolved, received_at DESC, digest DESC LIMIT 1 BY source LIMIT 20"""

Source = Annotated[str, Query(max_length=200, description="Its source, where several sources sent this id.")]


def find(deps: ApiDeps, name: str, source: str = "") -> dict[str, Any]:
    """The row of a rejected event; of several under one id of a source, the latest that still waits.

    Raises `NotFound`, and `Conflict` (code `ambiguous_id`) where several sources have one of this id and none is named.
    """
    rows = deps.reader.rows(_ONE, {"id": name, "source": source})
    if not rows:
        raise NotFound("No rejected event has this id.")
    if len(rows) > 1:
        candidates = ", ".join(sorted(row["source"] for row in rows))
        raise Conflict(
            f"rejected event: wanted an id of one source, several have one of this id ({candidates}); choose one of"
            " them with ?source=",
            code="ambiguous_id",
        )
    return rows[0]


def listed(
    deps: ApiDeps, limit: int, cursor: str | None, *, source: str = "", code: str = "", resolved: bool = False
) -> dict[str, Any]:
    shape, start = (int, str, str, int), (1 << 62, "", "", 0)
    ms, after, name, digest = read_cursor(deps.secret, "rejected events", cursor, shape) if cursor else start
    rows = deps.reader.rows(
        _LIST,
        {
            "resolved": int(resolved),
            "source": source,
            "code": code,
            "ms": ms,
            "after": after,
            "id": name,
            "digest": digest,
            "limit": limit + 1,
        },
    )
    last = rows[limit - 1] if len(rows) > limit else None
    keys = (last["received_ms"], last["source"], last["id"], last["digest"]) if last else None
    following = write_cursor(deps.secret, "rejected events", keys) if keys else None
    return page([views.rejected_view(row) for row in rows[:limit]], following)


async def raw_body(request: Request) -> bytes:
    return await request.body()


def router(deps: ApiDeps) -> APIRouter:
    routes = APIRouter(prefix="/v1/rejected", tags=["rejected events"])

    @routes.get("", response_model=RejectedPage, responses=example(RejectedPage))
    @scope(ADMIN)
    @deps.heavy.endpoint
    def list_rejected(
        source: Annotated[str, Query(max_length=200, description="Only from this source.")] = "",
        code: Annotated[str, Query(max_length=200, description="Only with this code.")] = "",
        resolved: Annotated[
            bool, Query(description="Those that a retry has settled instead of those that wait.")
        ] = False,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> JsonReply:
        """Rejected events that wait to be fixed, latest first."""
        return JsonReply(listed(deps, limit, cursor, source=source, code=code, resolved=resolved))

    @routes.post(
        "/{name:path}/retry",
        response_model=Outcome,
        responses=example(Outcome),
        openapi_extra={
            "requestBody": {
                "description": "The corrected event. Without a body, the original bytes are tried again.",
                "required": False,
                "content": {"application/json": {"schema": {}, "example": {"type": "track", "event": "Signed Up"}}},
            }
        },
    )
    @scope(ADMIN)
    def retry_rejected(name: Name, payload: Annotated[bytes, Depends(raw_body)], source: Source = "") -> JsonReply:
        """Admit a rejected event again, as it came or corrected, under its id and its time of arrival.

        A `conflicting_copy` cannot be: under its id it would be a copy again.
        """
        row = find(deps, name, source)
        record = views.rejected_view(row) | {"digest": row["digest"], "place": row["place"]}
        return JsonReply(deps.retry_rejected(record, payload or None))

    @routes.get("/{name:path}", response_model=RejectedEvent, responses=example(RejectedEvent))
    @scope(ADMIN)
    def one_rejected(name: Name, source: Source = "") -> JsonReply:
        """One rejected event with its original bytes."""
        return JsonReply(views.rejected_view(find(deps, name, source)))

    return routes
