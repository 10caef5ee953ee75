"""`GET /v1/events`: the latest events, accepted and rejected. Did mine arrive?"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query

from eventlog.port import EventLog, Record
from profile_api import views
from profile_api.auth import scope
from profile_api.deps import ApiDeps
from profile_api.models.examples import example
from profile_api.models.operations import LatestEvents
from profile_api.replies import JsonReply, page
from registry.scopes import READ
from schemas import topics

View = Callable[[Mapping[str, Any]], dict[str, Any]]
Found = tuple[tuple[int, int, int], dict[str, Any]]
"""A view with what it is sorted by."""


def latest(log: EventLog, limit: int) -> list[dict[str, Any]]:
    """The newest events of the log's tail, newest first, whether or not a projection has read them."""
    tail = _tail(log, topics.EVENTS, limit, views.accepted_view)
    tail += _tail(log, topics.REJECTED, limit, views.refused_view)
    tail.sort(key=lambda found: found[0], reverse=True)
    return [view for _, view in tail[:limit]]


def _tail(log: EventLog, topic: str, limit: int, view: View) -> list[Found]:
    """The last `limit` records of each partition that show an event; some do not: steps go back for more."""
    found: list[Found] = []
    for partition, last in enumerate(log.ends(topic)):
        shown, end = 0, last
        while shown < limit and end > 0:
            start = max(0, end - limit)
            for record in log.read(topic, partition, start, end - start):
                body = _parsed(record)
                if body is not None and not body.get("resolved"):
                    found.append(((record.appended_at, record.offset, record.partition), view(body)))
                    shown += 1
            end = start
    return found


def _parsed(record: Record) -> dict[str, Any] | None:
    """A record that is no JSON object came past the collectors: the projections reject it, with its
    reason.
    """
    try:
        body = orjson.loads(record.value)
    except orjson.JSONDecodeError:
        return None
    return body if isinstance(body, dict) else None


def router(deps: ApiDeps) -> APIRouter:
    routes = APIRouter(tags=["events"])

    @routes.get("/v1/events", response_model=LatestEvents, responses=example(LatestEvents))
    @scope(READ)
    @deps.heavy.endpoint
    def latest_events(
        limit: Annotated[int, Query(ge=1, le=1000, description="How many events at most.")] = 50,
    ) -> JsonReply:
        """The latest events, accepted and rejected, newest first, straight from the log."""
        return JsonReply(page(latest(deps.log, limit)))

    return routes
