"""Rows that are collected over several small batches, and the tables that they become."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from stream_processors.parse.batch import Batch
from stream_processors.rows import events
from stream_processors.rows.accounts import account_rows
from stream_processors.rows.facts import fact_rows
from stream_processors.rows.identity import (
    Decided,
    Folded,
    Home,
    ProfileMember,
    decision_rows,
    identity_rows,
    member_rows,
)
from stream_processors.rows.profiles import profile_rows, view_rows
from stream_processors.rows.transitions import membership_rows, transition_rows
from stream_processors.state.profile import ProfileState
from stream_processors.state.teller import Published
from stream_processors.views.recent import View

Tables = dict[str, pa.Table]


@dataclass(slots=True)
class CollectedProfiles:
    """The profiles of nodes, and the states of profiles when their rows are made."""

    identity: list[Home] = field(default_factory=list)
    views: dict[int, View] = field(default_factory=dict)
    states: dict[int, ProfileState] = field(default_factory=dict)

    def tables(self) -> Tables:
        live = {profile: state for profile, state in self.states.items() if self.views[profile].live}
        gone = sorted(profile for profile, view in self.views.items() if not view.live)
        versions = {profile: view.ver for profile, view in self.views.items()}
        homes = identity_rows(Folded(identity=self.identity))
        return {
            "identity_log": homes,
            "identity": homes,
            "views": view_rows(self.views),
            "profile_rows": profile_rows(live, gone, versions),
        }


@dataclass(slots=True)
class CollectedRecords:
    """The rows of events and records."""

    batches: list[tuple[Batch, Sequence[int], Sequence[int]]] = field(default_factory=list)
    """Each with the indices of the events whose id, and whose row, must be written."""
    seen: events.Seen = field(default_factory=dict)
    members: list[ProfileMember] = field(default_factory=list)
    decisions: list[Decided] = field(default_factory=list)
    transitions: list[Published] = field(default_factory=list)
    keys: set[int] = field(default_factory=set)
    """The nodes and profiles that the rows are about."""

    @property
    def records(self) -> int:
        return sum(len(batch) + len(batch.unreadable) + len(batch.aside) for batch, _, _ in self.batches)

    def tables(self, terms: Mapping[int, int]) -> Tables:
        transitions = transition_rows(self.transitions)
        batch, ids, rows = self.batches[0] if len(self.batches) == 1 else _joined(self.batches)
        return {
            "events": events.event_rows(batch, rows),
            **fact_rows(batch, batch.unique()),
            "ids": events.id_rows(batch, ids),
            "log_rows": events.log_rows(batch, terms),
            "tellings": events.telling_rows(batch),
            "traits": events.trait_rows(batch),
            "consents": events.consent_rows(batch),
            **account_rows(batch),
            "identifiers": events.identifier_rows(self.seen),
            "members": member_rows(Folded(members=self.members)),
            "decisions": decision_rows(self.decisions),
            "transitions": transitions,
            "memberships": membership_rows(transitions),
        }


def _joined(batches: Sequence[tuple[Batch, Sequence[int], Sequence[int]]]) -> tuple[Batch, list[int], list[int]]:
    """Join several batches into one, with their indices."""
    joined, ids, rows = Batch(), list[int](), list[int]()
    for batch, its_ids, its_rows in batches:
        ids += [len(joined) + i for i in its_ids]
        rows += [len(joined) + i for i in its_rows]
        joined.extend(batch)
    return joined, ids, rows
