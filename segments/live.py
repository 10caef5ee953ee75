"""The micro-batch back end: segments kept up to date event by event, without SQL.

`LiveRules` compiles the live segments once. The caller keeps, per profile, `ProfileFacts` with one state for
each event leaf; it folds each new event into `facts.leaves`, asks which segments the touched leaves can
change, and evaluates those. Law: at a quiescent (log position, instant), the answers equal those of
`sql.compile_sql`.

    touched = rules.fold_event(facts.leaves, type, time, envelope, now)
    touched |= rules.leaves_of(traits=changed_names, metrics=("events", "last_seen"))
    truths = rules.update(facts, touched, memberships, now)   # once per touched profile and batch
    …and again at facts.due: rules.update(facts, (), memberships, now)
"""

from collections.abc import Callable, Container, Iterable, Mapping, Set
from graphlib import CycleError, TopologicalSorter
from typing import Any

import orjson

from schemas.errors import InvalidRule
from segments import truths
from segments.facts import Leaves, Pass, ProfileFacts
from segments.folds import State, earliest, fold_for
from segments.tree import (
    All,
    Any_,
    Consent,
    EventLeaf,
    Identity,
    Leaf,
    Not,
    Rule,
    SeenMetric,
    SegmentRef,
    Trait,
    nodes,
    segments_of,
)
from segments.truths import Due, Matches, Reads, Truth

__all__ = ["Leaves", "LiveRules", "ProfileFacts", "topological"]


_Add = Callable[[State, int, Any, int], State]
_Stays = Callable[[Any], bool]
_Feed = tuple[int, Matches | None, Reads | None, _Add, _Stays | None]
"""How an event reaches one leaf: its id, the test of the event, the value to read, the fold to add it to, and whether
a value leaves a true leaf true (None: it may not)."""


class LiveRules:
    """The live segments, compiled together: equal leaves are shared, nested segments come before their users.

    Raises `InvalidRule` where segments contain each other in a circle or name one that is not there.
    """

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        self.rules = dict(rules)
        self.order = topological(rules)
        self._rank = {segment: rank for rank, segment in enumerate(self.order)}
        self._ids: dict[Leaf, int] = {}
        self._uses: dict[int, set[str]] = {}
        self._number_leaves()
        self._folds = {i: fold_for(leaf) for leaf, i in self._ids.items() if isinstance(leaf, EventLeaf)}
        self._feeds: dict[str, list[_Feed]] = {}
        self._payload_types: set[str] = set()
        self._number_feeds()
        self._leaf_truths = {i: self._leaf_truth(leaf, i) for leaf, i in self._ids.items()}
        self._truths = {segment: self._truth(rule) for segment, rule in rules.items()}
        self._affected = {i: frozenset(self._with_users(uses)) for i, uses in self._uses.items()}
        self._timed = {i: timed for leaf, i in self._ids.items() if (timed := self._due_of(leaf, i))}
        self._steady = {i: fold for i, fold in self._folds.items() if fold.steady}
        self._facts_leaves = [i for leaf, i in self._ids.items() if not isinstance(leaf, EventLeaf)]
        self._blank_leaves, self._blank_truths = self._blank()

    # What there is

    @property
    def event_types(self) -> Set[str]:
        """The event types that some leaf counts; other events cannot change an event leaf."""
        return self._feeds.keys()

    def needs_payload(self, event_type: str) -> bool:
        """Whether a leaf looks into events of this type; else type and time are enough."""
        return event_type in self._payload_types

    # Folding

    def fold_event(
        self,
        leaves: Leaves,
        event_type: str,
        time_ms: int,
        event: Mapping[str, Any],
        now_ms: int,
        held: Set[int] = frozenset(),
    ) -> set[int]:
        """Add one event (its envelope; may be empty if not `needs_payload`) and return the leaves it touched.

        Each event once; in any order. `now_ms`: no later question is about an instant before it. `held`: the leaves
        that are remembered as true; most of them one more event leaves so, and they are not touched.
        """
        touched: set[int] = set()
        past = time_ms <= now_ms
        for leaf, matches, read, add, stays in self._feeds.get(event_type, ()):
            if matches is not None and not matches(event, time_ms):
                continue
            value = None
            if read is not None:
                value = read(event)
                if value is None:
                    continue
                if type(value) is list:
                    if self._fold_values(leaves, leaf, time_ms, value, now_ms):
                        touched.add(leaf)
                    continue
            state = add(leaves.get(leaf), time_ms, value, now_ms)
            if state is not None:
                leaves[leaf] = state
                if leaf not in held or stays is None or not past or not stays(value):
                    touched.add(leaf)
        return touched

    def _fold_values(self, leaves: Leaves, leaf: int, time_ms: int, values: Iterable[Any], now_ms: int) -> bool:
        """Add what an event with a list brings to one leaf; whether anything was kept."""
        add, state = self._folds[leaf].add, leaves.get(leaf)
        kept = False
        for value in values:
            state = add(state, time_ms, value, now_ms)
            kept = kept or state is not None
        if kept:
            leaves[leaf] = state
        return kept

    def fold_row(
        self,
        leaves: Leaves,
        event_type: str,
        time_ms: int,
        payload: bytes | str,
        now_ms: int,
        held: Set[int] = frozenset(),
    ) -> set[int]:
        """The same of one row of the table `events`; the payload is read only where it is needed."""
        event = orjson.loads(payload) if event_type in self._payload_types else {}
        return self.fold_event(leaves, event_type, time_ms, event, now_ms, held)

    def absorb(self, survivor: Leaves, absorbed: Leaves) -> Leaves:
        """The states of a merged profile: those of both sets of events. Takes both over."""
        for leaf, state in absorbed.items():
            mine = survivor.get(leaf)
            survivor[leaf] = state if mine is None else self._folds[leaf].absorb(mine, state)
        return survivor

    # What a change can change

    def leaves_of(
        self,
        *,
        traits: Iterable[str] = (),
        consent: Iterable[str] = (),
        identities: Iterable[str] = (),
        metrics: Iterable[str] = (),
    ) -> set[int]:
        """The leaves that read these traits (top-level names), consents, identifier types or metrics."""
        found: set[int] = set()
        for kind, names in (
            ("trait", traits),
            ("consent", consent),
            ("identity", identities),
            ("metric", metrics),
        ):
            for name in names:
                found.update(self._readers.get((kind, name), ()))
        return found

    def names(self, kind: str) -> frozenset[str]:
        """The traits (kind `trait`; top-level names) or purposes of consent (`consent`) that some leaf reads."""
        return frozenset(name for known, name in self._readers if known == kind)

    def affected(self, leaves: Iterable[int]) -> set[str]:
        """The segments whose truth may change when these leaves do, users of nested segments included."""
        segments: set[str] = set()
        for leaf in leaves:
            segments |= self._affected[leaf]
        return segments

    def changes_with_time(self, segment: str) -> bool:
        """Whether the passing of time alone can change the segment, or one that it names."""
        return any(segment in self._affected[leaf] for leaf in self._timed)

    # Truth

    def update(
        self, facts: ProfileFacts, touched: Iterable[int], current: Container[str], now_ms: int
    ) -> dict[str, bool]:
        """The truth of the segments that may have changed since the last update of these facts; sets
        `facts.due`.

        `touched`: the leaves whose inputs changed since. Leaves that turn out as before affect nothing, which
        is the usual case and saves the evaluation. A due moment that has come is attended to as well. After a
        merge or a reload of `facts.leaves` set `facts.true_leaves` to None: then everything is looked at.
        """
        if facts.true_leaves is None:
            return self._first_update(facts, now_ms)
        if facts.due is not None and facts.due <= now_ms:
            touched, facts.due = {*touched, *self._timed}, None
            flipped = self._flipped(facts, touched, now_ms)
            facts.due = self.next_change(facts, now_ms)
        else:
            flipped = self._flipped(facts, touched, now_ms)
            moved = [leaf for leaf in touched if leaf in flipped or not self._settled(facts, leaf, now_ms)]
            facts.due = earliest(facts.due, self.next_change(facts, now_ms, moved))
        return self.evaluate_some(facts, self.affected(flipped), current, now_ms) if flipped else {}

    def _first_update(self, facts: ProfileFacts, now_ms: int) -> dict[str, bool]:
        """The truth of all segments. Only leaves that have something to look at can differ from those of nobody."""
        looked_at = [*self._facts_leaves, *facts.leaves]
        facts.true_leaves = set(self._blank_leaves)
        flipped = self._flipped(facts, looked_at, now_ms)
        facts.due = self.next_change(facts, now_ms, looked_at)
        return self._decide(facts, self.affected(flipped), dict(self._blank_truths), (), now_ms)

    def _settled(self, facts: ProfileFacts, leaf: int, now_ms: int) -> bool:
        """Whether a touched leaf that did not flip can do without a new due moment."""
        fold = self._steady.get(leaf)
        return fold is not None and fold.settled(facts.leaves[leaf], now_ms)

    def _flipped(self, facts: ProfileFacts, leaves: Iterable[int], now_ms: int) -> set[int]:
        """The leaves whose truth is not as remembered; remembers the new one."""
        one = Pass(facts, now_ms, {}, ())
        known = facts.true_leaves if facts.true_leaves is not None else set()
        flipped = {leaf for leaf in leaves if self._leaf_truths[leaf](one) != (leaf in known)}
        known ^= flipped
        return flipped

    def evaluate(self, facts: ProfileFacts, now_ms: int) -> frozenset[str]:
        """The segments that hold at `now_ms`."""
        decided = self.evaluate_some(facts, self.order, (), now_ms)
        return frozenset(segment for segment, holds in decided.items() if holds)

    def evaluate_some(
        self, facts: ProfileFacts, segments: Iterable[str], current: Container[str], now_ms: int
    ) -> dict[str, bool]:
        """The truth of these segments, in one pass; nested ones not among them are taken from `current`."""
        return self._decide(facts, segments, {}, current, now_ms)

    def _decide(
        self,
        facts: ProfileFacts,
        segments: Iterable[str],
        decided: dict[str, bool],
        current: Container[str],
        now_ms: int,
    ) -> dict[str, bool]:
        """Evaluate these segments into `decided`; others are taken from there, or else from `current`."""
        one = Pass(facts, now_ms, decided, current)
        for segment in sorted(segments, key=self._rank.__getitem__):
            decided[segment] = self._truths[segment](one)
        return decided

    def next_change(self, facts: ProfileFacts, now_ms: int, leaves: Iterable[int] | None = None) -> int | None:
        """The earliest instant after `now_ms` at which truth may change by time alone; None: never.

        May be early, is never late. With `leaves`, looks at these only: enough when they are all that changed
        and the answer is taken together with the earlier one.
        """
        due: int | None = None
        for leaf in self._timed if leaves is None else leaves:
            timed = self._timed.get(leaf)
            if timed is not None:
                due = earliest(due, timed(facts, now_ms))
        return due

    # Compiling

    def _blank(self) -> tuple[frozenset[int], dict[str, bool]]:
        """The leaves and segments that hold for a profile of which nothing is known: at any time the same ones."""
        one = Pass(ProfileFacts(), 0, {}, ())
        leaves = frozenset(leaf for leaf, truth in self._leaf_truths.items() if truth(one))
        return leaves, self.evaluate_some(one.facts, self.order, (), 0)

    def _number_leaves(self) -> None:
        self._readers: dict[tuple[str, str], set[int]] = {}
        self._users: dict[str, set[str]] = {}
        for segment, rule in self.rules.items():
            for nested in segments_of(rule):
                self._users.setdefault(nested, set()).add(segment)
            for leaf in nodes(rule):
                if isinstance(leaf, All | Any_ | Not | SegmentRef):
                    continue
                i = self._ids.setdefault(leaf, len(self._ids))
                self._uses.setdefault(i, set()).add(segment)
                if (fact := truths.reads(leaf)) is not None:
                    self._readers.setdefault(fact, set()).add(i)

    def _number_feeds(self) -> None:
        for leaf, i in self._ids.items():
            if not isinstance(leaf, EventLeaf):
                continue
            fold = self._folds[i]
            feed = (i, truths.matcher(leaf), truths.reader(leaf), fold.add, truths.stays(leaf) if fold.stays else None)
            self._feeds.setdefault(leaf.type, []).append(feed)
            if leaf.where or leaf.of:
                self._payload_types.add(leaf.type)

    def _with_users(self, segments: Iterable[str]) -> set[str]:
        found: set[str] = set()
        waiting = list(segments)
        while waiting:
            segment = waiting.pop()
            if segment not in found:
                found.add(segment)
                waiting.extend(self._users.get(segment, ()))
        return found

    def _truth(self, rule: Rule) -> Truth:
        match rule:
            case All(children=below):
                return truths.all_of([self._truth(child) for child in below])
            case Any_(children=below):
                return truths.any_of([self._truth(child) for child in below])
            case Not(child=child):
                truth = self._truth(child)
                return lambda one: not truth(one)
            case SegmentRef(segment=segment):
                return truths.nested(segment)
            case leaf:
                i = self._ids[leaf]
                truth = self._leaf_truths[i]
                return truths.once(i, truth) if len(self._uses[i]) > 1 else truth

    def _leaf_truth(self, leaf: Leaf, i: int) -> Truth:
        match leaf:
            case EventLeaf():
                return truths.event_truth(self._folds[i], i)
            case Trait():
                return truths.trait_truth(leaf)
            case Consent():
                return truths.consent_truth(leaf)
            case Identity():
                return truths.identity_truth(leaf)
            case metric:
                return truths.metric_truth(metric)

    def _due_of(self, leaf: Leaf, i: int) -> Due | None:
        match leaf:
            case EventLeaf():
                return truths.event_due(self._folds[i], i) if self._folds[i].timed else None
            case Trait():
                return truths.trait_due(leaf)
            case SeenMetric():
                return truths.seen_due(leaf)
            case _:
                return None


def topological(rules: Mapping[str, Rule]) -> tuple[str, ...]:
    """Segment ids, nested ones first. Raises `InvalidRule` on a circle or an unknown segment."""
    below = {segment: sorted(segments_of(rule)) for segment, rule in rules.items()}
    if any(nested not in rules for named in below.values() for nested in named):
        raise InvalidRule(
            "rule: a segment that exists is wanted, an unknown one came; declare it first",
            code="unknown_segment",
        )
    try:
        return tuple(TopologicalSorter(below).static_order())
    except CycleError as error:
        raise InvalidRule(
            "rule: segments that do not contain themselves are wanted, a circle came; remove one reference",
            code="segment_cycle",
        ) from error
