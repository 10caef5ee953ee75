"""What was processed and is to be rows: gathered over small batches, made into Arrow tables once for all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from stream_processors import project
from stream_processors.batch import Batch
from stream_processors.evaluate import membership_rows, transition_rows
from stream_processors.profiles import ProfileState
from stream_processors.resolve import Resolution, decision_rows, identity_rows, member_rows

Tables = dict[str, pa.Table]


@dataclass(slots=True)
class Profiles:
    """The profiles that have changed."""

    states: dict[int, ProfileState] = field(default_factory=dict)
    """As they are when the rows are made."""
    gone: set[int] = field(default_factory=set)

    def add(self, states: Mapping[int, ProfileState], gone: set[int]) -> None:
        for profile in gone:
            self.states.pop(profile, None)
        self.states.update(states)
        self.gone = (self.gone | gone).difference(states)

    def rows(self, version: int) -> pa.Table:
        return project.profile_rows(self.states, sorted(self.gone), version)


@dataclass(slots=True)
class Shown:
    """What a view of a profile is made of: whose a node is, and what the view says."""

    profiles: Profiles = field(default_factory=Profiles)
    moved: dict[int, int] = field(default_factory=dict)
    """Node -> profile."""

    def tables(self, version: int, identity_position: int) -> Tables:
        profiles = self.profiles
        return {
            "identity": identity_rows(self.moved, identity_position),
            "views": project.view_rows(profiles.states, sorted(profiles.gone), version),
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
        batch, ids, events = self.batches[0] if len(self.batches) == 1 else _joined(self.batches)
        return {
            "events": project.event_rows(batch, events),
            "ids": project.id_rows(batch, ids),
            "log_rows": project.log_rows(batch, owner),
            "traits": project.trait_rows(batch),
            "identifiers": project.identifier_rows(self.seen),
            "members": member_rows(self.resolution, identity_position),
            "decisions": decision_rows(self.resolution.records),
            "transitions": transition_rows(self.told),
            "memberships": membership_rows(self.told),
        }


def _joined(batches: Sequence[tuple[Batch, Sequence[int], Sequence[int]]]) -> tuple[Batch, list[int], list[int]]:
    """Several batches as one, with the indices that go with it."""
    joined, ids, events = Batch(), list[int](), list[int]()
    for batch, its_ids, its_events in batches:
        ids += [len(joined) + i for i in its_ids]
        events += [len(joined) + i for i in its_events]
        joined.extend(batch)
    return joined, ids, events
