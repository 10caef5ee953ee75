"""Deciding what changed for profiles, as one owner among many: the embedded path's evaluator, and what differs here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from segments.live import ProfileFacts
from stream_processors.cluster.touches import DELETED, EVENT, MERGE, SPLIT, TIME
from stream_processors.evaluate import Evaluator
from stream_processors.profiles import ProfileState

_HAPPENED = frozenset({EVENT, TIME, MERGE, SPLIT})


@dataclass(slots=True)
class Case:
    """A profile to decide about. `state` None: it is no more, and `memberships` end.

    `changes`: the leaves that may have changed since the state's memberships were decided; None where all may have.
    """

    profile: int
    cause: str
    state: ProfileState | None = None
    memberships: Mapping[str, int] = field(default_factory=dict)
    inherited: Mapping[str, int] = field(default_factory=dict)
    changes: set[int] | None = None


class Judge(Evaluator):
    """Evaluates live segments of states; tells nobody itself."""

    def fold_new(self, facts: ProfileFacts, kind: str, time: int, payload: str) -> set[int]:
        """Fold the row of an event that counts into its profile's leaf states; returns those that it may change."""
        held = facts.true_leaves or frozenset[int]()
        return self.live.fold_row(facts.leaves, kind, time, payload, self.now, held) | self._metric_leaves

    def decide(self, cases: Sequence[Case], filling: Mapping[str, str]) -> list[dict[str, Any]]:
        """The transitions of these profiles; the states' memberships are brought up to date.

        `filling`: the segments whose transitions a declaration causes, with that cause.
        """
        records: list[dict[str, Any]] = []
        for case in cases:
            cause = case.cause if case.cause in _HAPPENED else EVENT
            for record in self._decide(case, cause):
                if record["cause"] == cause and record["segment"] in filling:
                    record["cause"] = filling[record["segment"]]
                records.append(record)
        return records

    def _decide(self, case: Case, cause: str) -> list[dict[str, Any]]:
        if case.state is None:
            return self._exits(case.profile, case.memberships, cause)
        state = case.state
        dead = {segment: at for segment, at in state.memberships.items() if segment not in self.live.rules}
        for segment in dead:
            del state.memberships[segment]
        facts = state.current_facts(metrics=bool(self._metric_leaves), kept=self.kept)
        if case.changes is None or case.inherited:
            facts.true_leaves = None
        held = self.live.update(facts, case.changes or (), state.memberships, self.now)
        changes = self._changes(case.profile, state.memberships, held, case.inherited, cause, self.now)
        return self._exits(case.profile, dead, DELETED) + changes
