"""Faults of our own code on chosen inputs: real parts, one of which raises where it meets what was chosen."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import pytest

from eventlog.port import Message
from identity.changes import Changes
from identity.graph import IdentityGraph
from identity.nodes import to_hex
from producers.door import Refused
from producers.incoming import Incoming
from schemas.records import IdentityRecord, Link, Transition
from stream_processors.host import box, worker
from stream_processors.parse.batch import Batch
from stream_processors.state.directory import GraphDirectory, News, TableDirectory
from stream_processors.state.judge import Case, Judge
from tests.properties.pipeline_world import SOURCES, make_door


class Faults:
    """What raises: events by their ids, profiles, and links by their keys, once the graph has taken them in. `all`:
    every event."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.events: set[str] = set()
        self.profiles: set[int] = set()
        self.links: set[str] = set()
        self.all = False
        faults = self

        class OfGraph(GraphDirectory):
            def sort(self, batch: Batch, nodes: Collection[int]) -> News:
                faults.check(batch)
                return super().sort(batch, nodes)

        class OfTables(TableDirectory):
            def sort(self, batch: Batch, nodes: Collection[int]) -> News:
                faults.check(batch)
                return super().sort(batch, nodes)

        class Faulty(Judge):
            def decide(self, cases: Sequence[Case], filling: Mapping[str, str]) -> list[Transition]:
                for case in cases:
                    if case.state is not None and case.profile in faults.profiles:
                        raise ZeroDivisionError(to_hex(case.profile))
                return super().decide(cases, filling)

        fold = IdentityGraph.fold

        def fold_faultily(graph: IdentityGraph, record: IdentityRecord) -> Changes:
            changes = fold(graph, record)
            if isinstance(record, Link) and record.key in faults.links:
                raise ZeroDivisionError(record.key)
            return changes

        patch.setattr(IdentityGraph, "fold", fold_faultily)
        parts: list[tuple[Any, str, Any]] = [
            (box, "GraphDirectory", OfGraph),
            (box, "Judge", Faulty),
            (worker, "TableDirectory", OfTables),
            (worker, "Judge", Faulty),
        ]
        for module, name, part in parts:
            patch.setattr(module, name, part)

    def check(self, batch: Batch) -> None:
        for event in batch.events:
            if self.all or event.id in self.events:
                raise ZeroDivisionError(event.id)


LONELY: Final = ("user_id", "lonely")
"""Somebody who is never seen with another identifier."""


def lonely(id: str, at: int) -> Message:
    """An event of `LONELY`."""
    event = Incoming(type="page.viewed", id=id, source=SOURCES[0], channel="web", received_at=at, identifiers=(LONELY,))
    verdict = make_door().admit(event, b"{}")
    assert not isinstance(verdict, Refused)
    return verdict
