"""`POST /v1/events/known`: which of these events are here already. Imports use it to distinguish new events."""

from collections.abc import Sequence
from typing import Annotated, Final

from fastapi import Query

from eventlog.port import Position
from identity.nodes import event_key, from_hex
from profile_api.auth import scope
from profile_api.call import note, require_personal
from profile_api.deps import ApiDeps, Deps
from profile_api.models.examples import example
from profile_api.models.operations import KnownEvent
from profile_api.replies import JsonReply
from profile_api.requests import EventName, KnownIn
from profile_api.routes import guarded
from profile_api.waiting import waited_for
from registry.scopes import READ
from schemas import topics
from schemas.errors import Backpressure
from stream_processors.flow.conflicts import told_before

_KNOWN: Final = """SELECT key, min((part, off)) AS first FROM ids WHERE key IN {keys:Array(UInt128)} GROUP BY key"""


def known(deps: ApiDeps, events: Sequence[EventName]) -> list[Position | None]:
    """For each event the place of the first one of this source and id that the projections have counted."""
    keys = [from_hex(event_key(deps.secret, deps.workspace, one.source, one.id)) for one in events]
    rows = deps.reader.rows(_KNOWN, {"keys": list(set(keys))}) if keys else []
    there = {row["key"]: (int(row["first"][0]), int(row["first"][1])) for row in rows}
    return [there.get(key) for key in keys]


def contents(deps: ApiDeps, places: Sequence[Position | None]) -> list[str | None]:
    """The digests of the events' contents (`schemas.content`); None where one is not here, or no longer in the log."""
    firsts = {i: place for i, place in enumerate(places) if place is not None}
    digests = dict(told_before(deps.log, firsts))
    return [digests.get(i) for i in range(len(places))]


def wait_until_counted(deps: ApiDeps) -> None:
    """Block until the projections have passed all that the log holds now. Raises `Backpressure` after a while."""
    ends = deps.log.ends(topics.EVENTS)

    def reached() -> bool:
        return not any(map(int.__lt__, deps.log.committed(topics.PROJECTIONS, topics.EVENTS), ends))

    if not waited_for(deps, reached):
        raise Backpressure(
            "projections: wanted them to have reached the end of the log, got a backlog; see lag_seconds of"
            " /v1/status, then ask again",
            code="not_visible_yet",
        )


routes = guarded("events")


@routes.post("/v1/events/known", response_model=KnownEvent, responses=example(KnownEvent))
@scope(READ)
def known_events(
    deps: Deps,
    body: KnownIn,
    wait: Annotated[
        bool, Query(description="Wait until the projections have processed everything that is in the log now.")
    ] = False,
) -> JsonReply:
    """Report which of up to 1,000 events are already here, in the order of the request. Events that still wait in the
    log are not known yet. With `contents`, also return a digest of each event's content."""
    require_personal("events by their ids")
    note(others=len(body.events))
    if wait:
        wait_until_counted(deps)
    places = known(deps, body.events)
    told: dict[str, object] = {"known": [place is not None for place in places]}
    return JsonReply(told | ({"contents": contents(deps, places)} if body.contents else {}))
