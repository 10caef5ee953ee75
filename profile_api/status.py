"""How far the projections are, and what they hold: `GET /v1/status`, and the freshness of every view."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter

from eventlog.port import EventLog
from profile_api.auth import scope
from profile_api.deps import ApiDeps
from profile_api.models import Status, example
from profile_api.replies import JsonReply
from registry.scopes import READ
from schemas import topics
from schemas.clock import Clock, iso
from stream_processors.topology import PROJECTIONS, Stage

PROJECTIONS_GROUP = "projections"
"""The consumer group of identity, profiles and segments."""

# Offsets are unique in log_rows but for rows that a fenced writer wrote again: FINAL counts them once. Rows
# that no projection could read (dup = 2) are among the rejected.
_COUNTS = """SELECT
    (SELECT (countIf(dup = 0), countIf(dup = 1)) FROM log_rows FINAL) AS logged,
    (SELECT uniqExact(id, digest) FROM rejected) AS rejected,
    (SELECT (uniqExact(profile), count()) FROM identity FINAL WHERE profile != 0) AS known"""


@dataclass(frozen=True, slots=True)
class Progress:
    """What a consumer group has read of some topics, against their ends.

    `oldest` is when the oldest record that waits was appended (ms), None when none waits.
    """

    positions: dict[str, list[int]]
    lag_events: int
    oldest: int | None

    def lag_seconds(self, now: int) -> float:
        return 0.0 if self.oldest is None else round(max(0, now - self.oldest) / 1000, 3)


def progress(log: EventLog, group: str, reads: Iterable[str]) -> Progress:
    """Committed positions are read before the ends: no lag means that all that was there before has been
    done.
    """
    positions, lag, waiting = {}, 0, []
    for topic in reads:
        committed = log.committed(group, topic)
        positions[topic] = committed
        for partition, (done, end) in enumerate(zip(committed, log.ends(topic), strict=True)):
            if end > done:
                lag += end - done
                waiting += [record.appended_at for record in log.read(topic, partition, done, 1)]
    return Progress(positions, lag, min(waiting, default=None))


def freshness(log: EventLog, clock: Clock) -> dict[str, Any]:
    """How fresh an answer is whose queries run after this call: it holds at least `positions`, all up to
    `as_of`.
    """
    done = progress(log, PROJECTIONS_GROUP, [topics.EVENTS])
    now = clock()
    return {
        "as_of": iso(now if done.oldest is None else done.oldest),
        "positions": done.positions,
        "lag_seconds": done.lag_seconds(now),
    }


def projections(log: EventLog, clock: Clock) -> list[dict[str, Any]]:
    """Every stage's progress, upstream first: a stage appends its output before it commits its input, so
    when all of them show no lag in this order, nothing that was there before this call is under way between
    two of them.
    """
    return [_stage(log, clock, stage) for stage in PROJECTIONS]


def _stage(log: EventLog, clock: Clock, stage: Stage) -> dict[str, Any]:
    done = progress(log, stage.group, [topic for topic in stage.reads if topic in topics.ALL])
    return {
        "name": stage.name,
        "positions": done.positions,
        "lag_events": done.lag_events,
        "lag_seconds": done.lag_seconds(clock()),
    }


def router(deps: ApiDeps) -> APIRouter:
    routes = APIRouter(tags=["status"])

    @routes.get("/v1/status", response_model=Status, responses=example(Status))
    @scope(READ)
    def status() -> JsonReply:
        """How many events, profiles and identities there are, and how far each projection is.

        Once a request is answered, `lag_events == 0` in all projections means that its effects are visible.
        """
        stages = projections(deps.log, deps.clock)  # before the counts: what no longer lags must be in them
        counts = deps.reader.rows(_COUNTS)[0]
        (unique, duplicates), (profiles, identities) = counts["logged"], counts["known"]
        events = {
            "logged": unique + duplicates,
            "unique": unique,
            "duplicates": duplicates,
            "rejected": counts["rejected"],
        }
        return JsonReply(
            {"events": events, "profiles": profiles, "identities": identities, "projections": stages}
        )

    return routes
