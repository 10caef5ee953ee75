"""Deciding which profiles enter or leave which segments: live rules over states, transitions out.

The judge decides, `state.teller` publishes: a transition counts from the moment it is in `simorgh.segments`, and
memberships are the fold of that topic.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from types import MappingProxyType

from identity.nodes import to_hex
from schemas.clock import Clock
from schemas.records import Transition, TransitionKind
from schemas.untyped import JsonObject
from segments.facts import Leaves
from segments.live import ProfileFacts
from segments.live_traits import LiveTraits
from segments.tree import Computation, Rule
from stream_processors.parse.batch import ParsedEnvelope
from stream_processors.state.bounds import Kept
from stream_processors.state.profile import ProfileState
from stream_processors.state.touches import DELETED, ERASED, EVENT, MERGE, REPLAY, SPLIT, TIME

SEARCHED = frozenset({"name", "email"})
"""Traits that profiles are searched by, which are always kept."""

ABSORBED = "absorbed"
"""The cause of a silent transition: a survivor takes over an absorbed profile's earlier entered_at."""

_METRICS = ("events", "orders", "orders_placed", "revenue", "refunds", "net_revenue", "first_seen", "last_seen")
_NO_PAYLOAD: JsonObject = {}
_NONE_HELD: frozenset[int] = frozenset()
_HAPPENED = frozenset({EVENT, TIME, MERGE, SPLIT, ERASED, REPLAY})
_MOVED = frozenset({MERGE, SPLIT})
_NOT_PUBLISHED = ""


@dataclass(slots=True)
class Case:
    """A profile to decide about. `state` None: it no longer exists, and its `memberships` end. `changes`: the leaves
    that may have changed since its memberships were decided; None: all. `former`: the previous profiles of its nodes,
    if a merge or a split moved them.
    """

    profile: int
    cause: str
    state: ProfileState | None = None
    memberships: Mapping[str, int] = field(default_factory=dict)
    inherited: Mapping[str, int] = field(default_factory=dict)
    changes: set[int] | None = None
    former: Set[int] = frozenset()


class Judge:
    """The live segments, at one instant. One thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.versions: dict[str, int] = {}
        self.live = LiveTraits({})
        self.owned: dict[str, int] = {}
        """The computed traits, with the versions of their declarations."""
        self.now = 0
        self.kept = _kept(self.live)
        """The names of traits and consent that states keep whatever else is written."""
        self._metric_leaves: frozenset[int] = frozenset()
        self._payload_types: set[str] = set()

    # ---- the rules

    def set_segments(
        self,
        segments: Mapping[str, tuple[Rule, int]],
        traits: Mapping[str, tuple[Computation, int]] = MappingProxyType({}),
    ) -> None:
        """The live segments and computed traits: id -> (rule or computation, version). Where traits stay, only rules
        that are new are compiled.

        Existing leaf states lack the leaves of new rules: the caller empties its cache.
        """
        rules = {name: rule for name, (rule, _) in segments.items()}
        computed = {name: computation for name, (computation, _) in traits.items()}
        if computed == self.live.traits:
            self.live.become(rules)
        else:
            self.live = LiveTraits(rules, computed)
        self.owned = {name: version for name, (_, version) in traits.items()}
        self.versions = {name: version for name, (_, version) in segments.items()}
        self.kept = _kept(self.live)
        self._metric_leaves = frozenset(self.live.leaves_of(metrics=_METRICS))
        self._payload_types = {kind for kind in self.live.event_types if self.live.needs_payload(kind)}

    def tick(self) -> None:
        """Read the clock: all evaluations of a step are at one instant."""
        self.now = max(self.now, self._clock())

    # ---- folding rows into leaf states

    def row_types(self) -> Mapping[str, bool]:
        return {kind: self.live.needs_payload(kind) for kind in self.live.event_types}

    def fold_row(self, leaves: Leaves, kind: str, time: int, payload: str) -> None:
        self.live.fold_row(leaves, kind, time, payload, self.now)

    def fold_new(self, facts: ProfileFacts, kind: str, time: int, payload: str) -> set[int]:
        """Fold the row of an event that counts into its profile's leaf states; returns those that it may change."""
        held = facts.true_leaves or _NONE_HELD
        return self.live.fold_row(facts.leaves, kind, time, payload, self.now, held) | self._metric_leaves

    def fold_event(self, facts: ProfileFacts, kind: str, time: int, event: ParsedEnvelope) -> set[int]:
        """The same for an event of the batch, whose `payload()` is parsed only if a rule reads it."""
        payload = event.payload() if kind in self._payload_types else _NO_PAYLOAD
        held = facts.true_leaves or _NONE_HELD
        touched = self.live.fold_event(facts.leaves, kind, time, payload, self.now, held)
        if self._metric_leaves:
            touched |= self._metric_leaves
        return touched

    def leaves_of(
        self, traits: Iterable[str] = (), consent: Iterable[str] = (), identities: Iterable[str] = ()
    ) -> set[int]:
        """The leaves that read these traits, purposes of consent and types of identifiers."""
        return self.live.leaves_of(traits=traits, consent=consent, identities=identities)

    def absorb(self, into: Leaves, other: Leaves) -> None:
        self.live.absorb(into, other)

    # ---- deciding

    def decide(self, cases: Sequence[Case], filling: Mapping[str, str]) -> list[Transition]:
        """The transitions of these profiles, without the ids that they get when they are published; the states'
        memberships are brought up to date.

        `filling`: the segments whose transitions a declaration causes, with that cause.
        """
        records: list[Transition] = []
        for case in cases:
            cause = case.cause if case.cause in _HAPPENED else EVENT
            for record in self._decide(case, cause):
                if filling and record.cause == cause and record.segment in filling:
                    record.cause = filling[record.segment]
                if record.cause in _MOVED and (former := case.former - {case.profile}):
                    record.former = [to_hex(one) for one in sorted(former)]
                records.append(record)
        return records

    def _decide(self, case: Case, cause: str) -> list[Transition]:
        state = case.state
        if state is None:
            return self._exits(case.profile, case.memberships, cause)
        dead: dict[str, int] = {}
        if not state.memberships.keys() <= self.live.rules.keys():
            dead = {segment: at for segment, at in state.memberships.items() if segment not in self.live.rules}
            for segment in dead:
                del state.memberships[segment]
        facts = state.current_facts(metrics=bool(self._metric_leaves), kept=self.kept)
        if case.changes is None or case.inherited:
            facts.true_leaves = None
        held = self.live.update(facts, case.changes or (), state.memberships, self.now)
        if self.owned:
            state.show_computed(self.owned)
        if not (held or dead):
            return []
        changes = self._changes(case.profile, state.memberships, held, case.inherited, cause)
        return self._exits(case.profile, dead, DELETED) + changes if dead else changes

    def _changes(
        self,
        profile: int,
        before: dict[str, int],
        held: Mapping[str, bool],
        inherited: Mapping[str, int],
        cause: str,
    ) -> list[Transition]:
        """Transitions from `before`, which is brought up to date."""
        records = []
        now = self.now
        for segment, holds in held.items():
            if holds and segment not in before:
                before[segment] = inherited.get(segment, now)
                records.append(self._record(profile, segment, "entered", before[segment], cause))
            elif holds and inherited.get(segment, before[segment]) < before[segment]:
                before[segment] = inherited[segment]
                records.append(self._record(profile, segment, "entered", before[segment], ABSORBED))
            elif not holds and segment in before:
                records.append(self._record(profile, segment, "exited", before.pop(segment), cause))
        return records

    def _exits(self, profile: int, memberships: Mapping[str, int], cause: str) -> list[Transition]:
        """The transitions of a profile that leaves all of these."""
        return [self._record(profile, s, "exited", at, cause) for s, at in sorted(memberships.items())]

    def difference(
        self, segment: str, members: Collection[int], before: Mapping[int, int], cause: str
    ) -> list[Transition]:
        """The transitions by which a segment's memberships become equal to `members`: for back-fills, edits and
        deletions. `before`: profile -> entered_at."""
        members = set(members)
        entered = [
            self._record(profile, segment, "entered", self.now, cause) for profile in sorted(members - before.keys())
        ]
        exited = [
            self._record(profile, segment, "exited", at, cause)
            for profile, at in sorted(before.items())
            if profile not in members
        ]
        return entered + exited

    def _record(self, profile: int, segment: str, kind: TransitionKind, entered: int, cause: str) -> Transition:
        return Transition(
            segment=segment,
            version=self.versions.get(segment, 1),
            profile=to_hex(profile),
            kind=kind,
            at=self.now,
            entered_at=entered,
            cause=cause,
            id=_NOT_PUBLISHED,
        )


def _kept(live: LiveTraits) -> Kept:
    return Kept(live.names("trait") | SEARCHED, live.names("consent"))
