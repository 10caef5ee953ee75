"""What every installation of the laws has: a clock that stands, what is written and declared, the members in full."""

from collections.abc import Sequence
from typing import Any

from eventlog.port import EventLog, Message
from registry.registry import Registry
from schemas import topics
from segments.rule import parse_rule
from segments.sql import compile_sql
from tests.properties.segments_world import T0
from warehouse.client import Writer


class Clock:
    """Stands still until it is moved."""

    def __init__(self, now: int = T0) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


class Installation:
    """A box, or a cluster: what happens to it from outside, and what its rows say."""

    clock: Clock
    log: EventLog
    registry: Registry

    @property
    def writer(self) -> Writer:
        """Of the live generation."""
        raise NotImplementedError

    def write(self, topic: str, messages: Sequence[Message]) -> None:
        if messages:
            self.log.append(topic, messages)

    def declare(self, kind: Any, id: str, body: dict[str, Any]) -> None:
        self.registry.declare(kind, id, body, "tests")

    def command(self, kind: str, **body: Any) -> None:
        self.declare(kind, f"c{self.log.ends(topics.REGISTRY)[0]}", {"reason": "tests", **body})

    def rules(self) -> dict[str, dict[str, Any]]:
        """Of the segments whose latest declaration is in effect."""
        self.registry.refresh()
        aside = {name for name, effect in self.registry.effects.items() if effect.aside is not None}
        return {name: segment.rule for name, segment in self.registry.segments.items() if name not in aside}

    def full(self) -> dict[str, set[int]]:
        """The members of every segment, computed from the rows in full, at this instant."""
        rules = {name: parse_rule(rule) for name, rule in self.rules().items()}
        queries = {name: compile_sql(rule, self.clock(), rules.__getitem__) for name, rule in rules.items()}
        return {name: {row[0] for row in self.writer.rows(q.sql, q.parameters)} for name, q in queries.items()}
