"""`POST /v1/events/known`: which of these events are here already. Imports use it to distinguish new events."""

import time
from collections.abc import Sequence
from typing import Annotated, Final

from fastapi import Query

from identity.nodes import event_key, from_hex
from profile_api.auth import scope
from profile_api.call import note, require_personal
from profile_api.deps import ApiDeps, Deps
from profile_api.models.examples import example
from profile_api.models.operations import KnownEvent
from profile_api.replies import JsonReply
from profile_api.requests import EventName, KnownIn
from profile_api.routes import guarded
from profile_api.status import PROJECTIONS_GROUP
from registry.scopes import READ
from schemas import topics
from schemas.errors import Backpressure

_KNOWN: Final = "SELECT DISTINCT key FROM ids WHERE key IN {keys:Array(UInt128)}"
_POLL_SECONDS: Final = 0.02


def known(deps: ApiDeps, events: Sequence[EventName]) -> list[bool]:
    """For each event whether the projections have counted one of this source and id."""
    keys = [from_hex(event_key(deps.secret, deps.workspace, one.source, one.id)) for one in events]
    there = {row["key"] for row in deps.reader.rows(_KNOWN, {"keys": list(set(keys))})} if keys else set()
    return [key in there for key in keys]


def wait_until_counted(deps: ApiDeps) -> None:
    """Block until the projections have passed all that the log holds now. Raises `Backpressure` after a while."""
    ends = deps.log.ends(topics.EVENTS)
    deadline = time.monotonic() + deps.projections.visible_within
    while any(map(int.__lt__, deps.log.committed(PROJECTIONS_GROUP, topics.EVENTS), ends)):
        if time.monotonic() > deadline:
            raise Backpressure(
                "projections: wanted them to have reached the end of the log, got a backlog; see lag_seconds of"
                " /v1/status, then ask again",
                code="not_visible_yet",
            )
        time.sleep(_POLL_SECONDS)


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
    """Say which of up to 1,000 events are here already, in the order of the request. Records that wait in the log are
    not known yet."""
    require_personal("events by their ids")
    note(others=len(body.events))
    if wait:
        wait_until_counted(deps)
    return JsonReply({"known": known(deps, body.events)})
