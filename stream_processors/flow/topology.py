"""The flow, declared once, as data.

The picture in the README and the table in docs/scaling.md are printed from this list, and a test compares them. `group`
is the consumer group whose committed positions are the stage's progress. One machine runs all stages that follow events
together, batch by batch, and commits them together: `ONE_BOX`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import groupby

from schemas import topics


@dataclass(frozen=True, slots=True)
class TopologyStage:
    """One step: what it reads, what it writes (in this order), the key of its order, where its code is."""

    name: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    key: str
    code: str
    group: str = ""


TOPOLOGY = (
    TopologyStage("collect", ("http", "files"), (topics.EVENTS, topics.REJECTED), "event id", "producers"),
    TopologyStage(
        "events",
        (topics.EVENTS,),
        ("ClickHouse", topics.IDENTITY, topics.TOUCHED),
        "event id",
        "stream_processors.flow.events",
        "events",
    ),
    TopologyStage(
        "declarations",
        (topics.REGISTRY,),
        (topics.IDENTITY, topics.REGISTRY, "ClickHouse", topics.TOUCHED),
        "workspace",
        "stream_processors.flow.declarations",
        topics.PROJECTIONS,
    ),
    TopologyStage(
        "identity",
        (topics.IDENTITY,),
        ("ClickHouse", topics.TOUCHED),
        "workspace",
        "stream_processors.flow.identity",
        "identity",
    ),
    TopologyStage(
        "profiles",
        (topics.TOUCHED,),
        (topics.TOUCHED, "ClickHouse", topics.SEGMENTS, "ClickHouse"),
        "profile",
        "stream_processors.flow.profiles",
        "profiles",
    ),
    TopologyStage(
        "triggers",
        (topics.SEGMENTS,),
        (topics.DELIVERIES, "ClickHouse", "webhooks"),
        "trigger",
        "destinations",
        "triggers",
    ),
    TopologyStage(
        "rejected",
        (topics.REJECTED,),
        ("ClickHouse",),
        "rejected id",
        "stream_processors.flow.rejected",
        "rejected",
    ),
    TopologyStage(
        "serve",
        ("ClickHouse",),
        ("http", topics.REGISTRY, topics.EVENTS, topics.REJECTED, topics.AUDIT),
        "profile",
        "profile_api",
    ),
)
"""Upstream first: if none of them lags, checked in this order, nothing is in progress."""


def projections(stages: Iterable[TopologyStage]) -> tuple[TopologyStage, ...]:
    """The stages that follow the log: what `GET /v1/status` lists."""
    return tuple(stage for stage in stages if stage.group)


def _together(stage: TopologyStage) -> TopologyStage:
    """A stage on one machine: touches are in memory, so its progress is that of events and identity."""
    if stage.name not in ("events", "declarations", "identity", "profiles"):
        return stage
    reads = (topics.EVENTS, topics.IDENTITY) if stage.reads == (topics.TOUCHED,) else stage.reads
    return replace(stage, group=topics.PROJECTIONS, reads=reads)


ONE_BOX = tuple(_together(stage) for stage in projections(TOPOLOGY))


def picture() -> str:
    """The flow as text: inputs on one line, and below it each stage that reads them, with its outputs. Lines have no
    trailing blanks, and the last one no line break.
    """
    lines: list[str] = []
    for reads, readers in groupby(TOPOLOGY, key=lambda stage: stage.reads):
        stages = list(readers)
        lines.append(", ".join(reads))
        lines += [_branch(stage, last=stage is stages[-1]) for stage in stages]
    return "\n".join(lines)


def _branch(stage: TopologyStage, *, last: bool) -> str:
    name = max(len(each.name) for each in TOPOLOGY)
    writes = max(len(", ".join(each.writes)) for each in TOPOLOGY)
    return (
        f" {'└' if last else '├'}─► {stage.name:<{name}} ─► {', '.join(stage.writes):<{writes}}"
        f"   {stage.code.replace('.', '/')}"
    )


def ownership() -> str:
    """The stages whose partitions are shared, as a table in Markdown. The last line ends without a line break."""
    rows = [("stage", "owns a partition of", "by", "writes, in this order"), ("---",) * 4]
    for stage in projections(TOPOLOGY):
        rows.append((f"`{stage.name}`", _code(stage.reads), stage.key, _code(stage.writes)))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" if name.startswith("simorgh.") else name for name in names)
