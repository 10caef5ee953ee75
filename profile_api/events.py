"""`GET /v1/events`: the latest events, accepted and rejected. Did mine arrive? And those that come after."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import islice
from typing import Annotated, Any, NamedTuple

import orjson
from fastapi import Query

from eventlog.port import Record, RecordLog
from profile_api import views
from profile_api.auth import scope
from profile_api.call import note, unrecorded
from profile_api.cursors import read_cursor, write_cursor
from profile_api.deps import ApiDeps, Deps
from profile_api.models.examples import example
from profile_api.models.operations import LatestEvents
from profile_api.replies import JsonReply, page
from profile_api.routes import guarded
from profile_api.turns import reads_much
from registry.scopes import READ
from schemas import topics

View = Callable[[Mapping[str, Any]], dict[str, Any]]
Found = tuple[tuple[int, int, int], dict[str, Any]]
"""A view with its sort key."""

_SHOWN: tuple[tuple[str, View], ...] = (
    (topics.EVENTS, views.accepted_view),
    (topics.REJECTED, views.refused_view),
)


class ListPlace(NamedTuple):
    """A partition of one of the topics that are shown, by its place in `_SHOWN`."""

    topic: int
    partition: int


Positions = dict[ListPlace, int]
"""The next offset of each partition to show."""


def ends(log: RecordLog) -> Positions:
    return {
        ListPlace(n, partition): end
        for n, (topic, _) in enumerate(_SHOWN)
        for partition, end in enumerate(log.ends(topic))
    }


def latest(log: RecordLog, until: Positions, limit: int) -> list[dict[str, Any]]:
    """The newest events before `until`, newest first, whether or not a projection has read them."""
    tail = [found for place, end in until.items() for found in _tail(log, place, end, limit)]
    tail.sort(key=lambda found: found[0], reverse=True)
    return [view for _, view in tail[:limit]]


def _tail(log: RecordLog, place: ListPlace, end: int, limit: int) -> Iterator[Found]:
    """The last `limit` records of a partition that show an event; some do not: steps go back for more."""
    topic, view = _SHOWN[place.topic]
    shown = 0
    while shown < limit and end > 0:
        start = max(0, end - limit)
        for record in log.read(topic, place.partition, start, end - start):
            if (body := _shown(record)) is not None:
                yield (record.appended_at, record.offset, record.partition), view(body)
                shown += 1
        end = start


def later(log: RecordLog, after: Positions, limit: int) -> tuple[list[dict[str, Any]], Positions]:
    """Events from `after` on, oldest first, each once, from up to `limit` records, and the position to continue at.

    Between partitions the log's clock decides, within one its order.
    """
    waiting = [_records(log, place, offset, limit) for place, offset in after.items()]
    items, reached = [], dict(after)
    for place, record in islice(merge(*waiting, key=lambda one: one[1].appended_at), limit):
        reached[place] = record.offset + 1
        if (body := _shown(record)) is not None:
            items.append(_SHOWN[place.topic][1](body))
    return items, reached


def _records(log: RecordLog, place: ListPlace, offset: int, limit: int) -> list[tuple[ListPlace, Record]]:
    return [(place, record) for record in log.read(_SHOWN[place.topic][0], place.partition, offset, limit)]


def _shown(record: Record) -> dict[str, Any] | None:
    """The event of a record; None if it has none: a note that a rejection is resolved, or a record that is not a JSON
    object and did not come from a collector (the projections reject it)."""
    try:
        body = orjson.loads(record.value)
    except orjson.JSONDecodeError:
        return None
    return body if isinstance(body, dict) and not body.get("resolved") else None


def cursor_of(deps: ApiDeps, positions: Positions) -> str:
    return write_cursor(deps.secret, "latest events", list(positions.values()))


def read(deps: ApiDeps, cursor: str, shape: Positions) -> Positions:
    offsets: Sequence[int] = read_cursor(deps.secret, "latest events", cursor, (int,) * len(shape))
    return dict(zip(shape, offsets, strict=True))


routes = guarded("events")


@routes.get("/v1/events", response_model=LatestEvents, responses=example(LatestEvents))
@scope(READ)
@reads_much
def latest_events(
    deps: Deps,
    limit: Annotated[int, Query(ge=1, le=1000, description="The largest number of events.")] = 50,
    after: Annotated[
        str | None,
        Query(max_length=4000, description="`follow` of an earlier answer, for the events since then, oldest first."),
    ] = None,
) -> JsonReply:
    """List the latest events, accepted and rejected, newest first, straight from the log.

    To follow the log, pass `follow` back as `after`: the answer has each event since once, oldest first. `behind` is
    the number of records that are still to come.
    """
    until = ends(deps.log)
    if after is None:
        items, reached = latest(deps.log, until, limit), until
    else:
        items, reached = later(deps.log, read(deps, after, until), limit)
    if items:
        note(others=len(items))
    else:
        unrecorded()  # whoever follows asks several times a second
    behind = sum(max(0, until[place] - offset) for place, offset in reached.items())
    return JsonReply(page(items) | {"follow": cursor_of(deps, reached), "behind": behind})
