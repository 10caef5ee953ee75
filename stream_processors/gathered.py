"""What was processed and is to be rows: gathered over small batches, made into Arrow tables once for all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from stream_processors import project
from stream_processors.batch import Batch
from stream_processors.evaluate import membership_rows, transition_rows
from stream_processors.profiles import ProfileState
from stream_processors.recent import View
from stream_processors.resolve import Resolution, decision_rows, identity_rows, member_rows

Tables = dict[str, pa.Table]


@dataclass(slots=True)
class Shown:
    """Whose a node is, and what is made of the states of profiles that have changed."""

    moved: dict[int, int] = field(default_factory=dict)
    """Node -> profile."""
    views: dict[int, View] = field(default_factory=dict)
    states: dict[int, ProfileState] = field(default_factory=dict)
    """As they are when the rows are made."""

    def add(self, states: Mapping[int, ProfileState], views: Mapping[int, View]) -> None:
        """`views`: of these states, and of those that are gone."""
        self.views.update(views)
        self.states.update(states)

    def tables(self, version: int, identity_position: int) -> Tables:
        live = {profile: state for profile, state in self.states.items() if self.views[profile].live}
        gone = [profile for profile, view in self.views.items() if not view.live]
        return {
            "identity": identity_rows(self.moved, identity_position),
            "views": project.view_rows(self.views),
            "profile_rows": project.profile_rows(live, sorted(gone), version),
        }


@dataclass(slots=True)
class Recorded:
    """The rows of events and records."""

    batches: list[tuple[Batch, Sequence[int], Sequence[int]]] = field(default_factory=list)
    """Each with the indices of the events whose id, and whose row, is to be written."""
    seen: project.Seen = field(default_factory=dict)
    resolution: Resolution = field(default_factory=Resolution)
    told: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    keys: set[int] = field(default_factory=set)
    """The nodes and profiles that the rows are about."""

    @property
    def records(self) -> int:
        return sum(len(batch) + len(batch.unreadable) for batch, _, _ in self.batches)

    def add(self, batch: Batch, ids: Sequence[int], events: Sequence[int], seen: project.Seen) -> None:
        self.batches.append((batch, ids, events))
        self.seen = project.merge_seen(self.seen, seen) if self.seen else dict(seen)

    def tables(self, owner: int, identity_position: int) -> Tables:
        transitions = transition_rows(self.told)
        batch, ids, events = self.batches[0] if len(self.batches) == 1 else _joined(self.batches)
        return {
            "events": project.event_rows(batch, events),
            "ids": project.id_rows(batch, ids),
            "log_rows": project.log_rows(batch, owner),
            "traits": project.trait_rows(batch),
            "identifiers": project.identifier_rows(self.seen),
            "members": member_rows(self.resolution, identity_position),
            "decisions": decision_rows(self.resolution.records),
            "transitions": transitions,
            "memberships": membership_rows(transitions),
        }


def _joined(batches: Sequence[tuple[Batch, Sequence[int], Sequence[int]]]) -> tuple[Batch, list[int], list[int]]:
    """Several batches as one, with the indices that go with it."""
    joined, ids, events = Batch(), list[int](), list[int]()
    for batch, its_ids, its_events in batches:
        ids += [len(joined) + i for i in its_ids]
        events += [len(joined) + i for i in its_events]
        joined.extend(batch)
    return joined, ids, events
