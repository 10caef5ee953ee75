"""The progress and the counts of the projections: `GET /v1/status`, and the freshness of every view."""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Depends
from fastapi.concurrency import run_in_threadpool
from prometheus_client import Gauge

from eventlog.port import EventLog
from profile_api.auth import scope
from profile_api.counts import Counts
from profile_api.deps import ApiDeps, Deps, one_per_app
from profile_api.models.examples import example
from profile_api.models.operations import Status
from profile_api.readiness import ReadinessFault
from profile_api.replies import JsonReply
from profile_api.routes import guarded
from registry.scopes import READ
from schemas import topics
from schemas.clock import iso
from schemas.condition import Condition
from schemas.errors import Backpressure, Broken
from stream_processors.flow.topology import TopologyStage

"""The consumer group of identity, profiles and segments."""

ELSEWHERE = "elsewhere"
"""The state of a stage that other processes run: see their readiness and metrics."""

_NO_COUNTS: Final = dict.fromkeys(("logged", "unique", "duplicates", "rejected"))


@dataclass(frozen=True, slots=True)
class StageProgress:
    """The positions of a consumer group in some topics, and the ends. `oldest` is when the oldest waiting record was
    appended (ms), None if none waits.
    """

    positions: dict[str, list[int]]
    lag_events: int
    oldest: int | None

    def lag_seconds(self, now: int) -> float:
        return 0.0 if self.oldest is None else round(max(0, now - self.oldest) / 1000, 3)


def progress(log: EventLog, group: str, reads: Iterable[str]) -> StageProgress:
    """Committed positions are read before the ends: no lag means that all that was there before has been
    done.
    """
    return _against_ends(log, {topic: log.committed(group, topic) for topic in reads})


def _against_ends(log: EventLog, positions: dict[str, list[int]]) -> StageProgress:
    lag, waiting = 0, []
    for topic, committed in positions.items():
        for partition, (done, end) in enumerate(zip(committed, log.ends(topic), strict=True)):
            if end > done:
                lag += end - done
                waiting += [record.appended_at for record in log.read(topic, partition, done, 1)]
    return StageProgress(positions, lag, min(waiting, default=None))


def freshness(deps: ApiDeps) -> dict[str, Any]:
    """How fresh an answer is whose queries run after this call: it holds at least `positions`, all up to
    `as_of`.
    """
    if deps.projections.rebuilding:
        shown = [0] * len(deps.log.ends(topics.EVENTS))
    elif deps.projections.shown:
        shown = deps.projections.shown()
    else:
        shown = deps.log.committed(topics.PROJECTIONS, topics.EVENTS)
    done = _against_ends(deps.log, {topics.EVENTS: shown})
    now = deps.clock()
    return {
        "as_of": iso(now if done.oldest is None else done.oldest),
        "positions": done.positions,
        "lag_seconds": done.lag_seconds(now),
    }


def projections(deps: ApiDeps) -> list[dict[str, Any]]:
    """Every stage's progress, upstream first: a stage appends its output before it commits its input, so
    when all of them show no lag in this order, nothing that was there before this call is under way between
    two of them.
    """
    conditions = deps.projections.conditions()
    return [_stage(deps, stage, conditions.get(stage.group)) for stage in deps.projections.stages]


def _stage(deps: ApiDeps, stage: TopologyStage, stands: Condition | None) -> dict[str, Any]:
    reads = [topic for topic in stage.reads if topic in topics.ALL]
    done = progress(deps.log, stage.group, reads)
    told: dict[str, Any] = {"name": stage.name, "state": stands.state if stands else ELSEWHERE}
    if stands and stands.reason:
        told["reason"] = stands.reason
    elif stands is None and (stopped := deps.registry.stopped.get(stage.name)):
        told |= {"state": "stopped", "reason": stopped.get("reason", "")}
    lag = done.lag_events
    if stands and stands.state == "rebuilding":
        told["rebuilt"] = {"done": stands.done, "total": stands.total}
        lag += stands.total - stands.done
        done = _against_ends(deps.log, {topic: [0] * len(deps.log.ends(topic)) for topic in reads})
    if stands and not stands.is_complete:
        lag = max(lag, 1)  # committed rows may be missing from the tables
    return told | {"positions": done.positions, "lag_events": lag, "lag_seconds": done.lag_seconds(deps.clock())}


def gauges(deps: ApiDeps) -> Callable[[], None]:
    """Adds the stages' lag, and the number of inputs set aside, to the metrics; returns a function that updates
    them."""
    events = Gauge(
        "simorgh_lag_events",
        "Records of the log whose effects are not known to be visible.",
        ["projection"],
        registry=deps.metrics,
    )
    seconds = Gauge(
        "simorgh_lag_seconds", "How long the oldest of them has been waiting.", ["projection"], registry=deps.metrics
    )

    aside = Gauge(
        "simorgh_segments_set_aside",
        "Segments whose latest declaration cannot be put into effect: see GET /v1/segments.",
        registry=deps.metrics,
    )

    poison = Gauge(
        "simorgh_poison",
        "Inputs that failed alone and are set aside: see GET /v1/rejected?code=poison.",
        registry=deps.metrics,
    )

    def set_anew() -> None:
        poison.set(len(deps.registry.poison))
        aside.set(sum(effect.aside is not None for effect in deps.registry.effects.values()))
        for stage in projections(deps):
            events.labels(stage["name"]).set(stage["lag_events"])
            seconds.labels(stage["name"]).set(stage["lag_seconds"])

    return set_anew


def overview(deps: ApiDeps, counts: Counts, faults: Sequence[ReadinessFault]) -> dict[str, Any]:
    """The body of `GET /v1/status`. Progress is read before the counts, so that the counts include everything that no
    longer lags. Counts are null if the warehouse refuses to count, since the rest is most useful then.
    """
    stages = projections(deps)
    numbers: dict[str, Any] = {"events": _NO_COUNTS, "profiles": None, "identities": None}
    with contextlib.suppress(Backpressure, Broken):
        numbers = _counted(deps, counts)
    listed = [{"code": fault.code, "message": fault.message} for fault in faults]
    return {**numbers, "faults": listed, "projections": stages}


def _counted(deps: ApiDeps, counts: Counts) -> dict[str, Any]:
    uniques, copies = counts.events(deps.log.committed(topics.PROJECTIONS, topics.EVENTS))
    profiles, identities = counts.profiles_and_identities(deps.log.committed(topics.PROJECTIONS, topics.IDENTITY))
    return {
        "events": {
            "logged": uniques + copies,
            "unique": uniques,
            "duplicates": copies,
            "rejected": counts.rejected(),
        },
        "profiles": profiles,
        "identities": identities,
    }


CountsOf = Annotated[Counts, Depends(one_per_app(lambda deps: Counts(deps.reader, deps.generation)))]

routes = guarded("status")


@routes.get("/v1/status", response_model=Status, responses=example(Status))
@scope(READ)
async def status(deps: Deps, counts: CountsOf) -> JsonReply:
    """Count the events, profiles and identities, and report the state and lag of each projection.

    Once a request is answered, `lag_events == 0` in all projections means that its effects are visible. `faults` are
    those of `/readyz`. Counts are null if the warehouse refuses to count.
    """
    faults = await deps.readiness.faults()
    return JsonReply(await run_in_threadpool(overview, deps, counts, faults))
