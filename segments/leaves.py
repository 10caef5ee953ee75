"""The event and fact leaves of live rules, compiled: each once, however many segments share it.

A leaf keeps its number as long as some rule contains it. Numbers are assigned in order and never reused, so the states
of other leaves stay valid when rules change.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any

import orjson

from segments import truths
from segments.facts import Leaves, Pass, ProfileFacts
from segments.folds import Fold, State, earliest, fold_for
from segments.tree import Consent, EventLeaf, IdentityLeaf, Leaf, SeenMetric, Trait
from segments.truths import Due, Matches, Reads, Truth

_Add = Callable[[State, int, Any, int], State]
_Stays = Callable[[Any], bool]
_Feed = tuple[int, Matches | None, Reads | None, _Add, _Stays | None]
"""How an event reaches one leaf: its number, the test of the event, the value to read, the fold to add it to, and
whether a value leaves a true leaf true (None: it may not)."""


_Takes = tuple[Matches | None, Callable[[Mapping[str, Any], int], Sequence[Any]], list[tuple[int, _Add]]]
"""How an event reaches what computed traits take: the test of the event, what to take, and the numbers of those that
take this, each with its fold. A state that is a tuple is never changed, so one that stays means no change."""


class LiveLeaves:
    """Folds events into the states of event leaves, and knows what the other leaves read."""

    def __init__(self) -> None:
        self._numbered = 0
        self._ids: dict[Leaf, int] = {}
        self._readers: dict[tuple[str, str], set[int]] = {}
        self._folds: dict[int, Fold] = {}
        self._feeds: dict[str, list[_Feed]] = {}
        self._payload_types: set[str] = set()
        self._values_of: dict[str, list[_Takes]] = {}
        self._value_payloads: set[str] = set()
        self._leaf_truths: dict[int, Truth] = {}
        self._timed: dict[int, Due] = {}
        self._steady: dict[int, Fold] = {}
        self._facts_leaves: dict[int, None] = {}
        self._blank_leaves: set[int] = set()
        """The leaves that hold for an unknown profile: always the same ones."""

    # Contents

    @property
    def event_types(self) -> Set[str]:
        """The event types that some leaf counts; other events cannot change an event leaf."""
        return self._feeds.keys() | self._values_of.keys() if self._values_of else self._feeds.keys()

    @property
    def live_leaves(self) -> Set[int]:
        """The numbers of the event leaves."""
        return self._folds.keys()

    def needs_payload(self, event_type: str) -> bool:
        """Whether a leaf looks into events of this type; else type and time are enough."""
        return event_type in self._payload_types or event_type in self._value_payloads

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

        Each event once, in any order. `now_ms`: later calls must not ask about an earlier instant. `held`: the leaves
        that are known to be true; most stay so with one more event, and are not touched.
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
        if event_type in self._values_of:
            self._take_values(leaves, event_type, time_ms, event, now_ms, touched)
        return touched

    def _take_values(
        self, leaves: Leaves, event_type: str, time: int, event: Mapping[str, Any], now: int, touched: set[int]
    ) -> None:
        """Add what computed traits take of one event."""
        for matches, entries, folds in self._values_of[event_type]:
            if (matches is None or matches(event, time)) and (found := entries(event, time)):
                for i, add in folds:
                    state = known = leaves.get(i)
                    for entry in found:
                        state = add(state, time, entry, now)
                    if state is not None and not (state is known and type(state) is tuple):
                        leaves[i] = state
                        touched.add(i)

    def _fold_values(self, leaves: Leaves, leaf: int, time_ms: int, values: Iterable[Any], now_ms: int) -> bool:
        """Add the values of an event with a list to one leaf. Returns whether any was kept."""
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
        """The same for one row of the table `events`. The payload is read only if needed."""
        event = orjson.loads(payload) if self.needs_payload(event_type) else {}
        return self.fold_event(leaves, event_type, time_ms, event, now_ms, held)

    def absorb(self, survivor: Leaves, absorbed: Leaves) -> Leaves:
        """The states of a merged profile: those of both sets of events. Takes both over."""
        for leaf, state in absorbed.items():
            mine = survivor.get(leaf)
            if mine is None:
                survivor[leaf] = state
            elif leaf in self._folds:
                survivor[leaf] = self._folds[leaf].absorb(mine, state)
        return survivor

    # Inputs of the other leaves

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

    # Time

    def next_change(self, facts: ProfileFacts, now_ms: int, leaves: Iterable[int] | None = None) -> int | None:
        """The earliest instant after `now_ms` at which truth may change by time alone; None: never.

        May be early, never late. With `leaves`, looks at these only, which is enough if no others have changed and the
        result is combined with the earlier one.
        """
        due: int | None = None
        for leaf in self._timed if leaves is None else leaves:
            timed = self._timed.get(leaf)
            if timed is not None:
                due = earliest(due, timed(facts, now_ms))
        return due

    # Compiling

    def _number(self, leaf: Leaf) -> int:
        """The number of a leaf, which is compiled if no rule contained it."""
        if (known := self._ids.get(leaf)) is not None:
            return known
        i = self._ids[leaf] = self._numbered
        self._numbered += 1
        if (fact := truths.reads(leaf)) is not None:
            self._readers.setdefault(fact, set()).add(i)
        if isinstance(leaf, EventLeaf):
            fold = self._folds[i] = fold_for(leaf)
            if fold.steady:
                self._steady[i] = fold
            self._take_in(leaf, i)
        else:
            self._facts_leaves[i] = None
        truth = self._leaf_truths[i] = self._leaf_truth(leaf, i)
        if (timed := self._due_of(leaf, i)) is not None:
            self._timed[i] = timed
        if truth(Pass(ProfileFacts(), 0, {}, ())):
            self._blank_leaves.add(i)
        return i

    def _take_in(self, leaf: EventLeaf, i: int) -> None:
        """Add events to a leaf with a fold."""
        self._feeds.setdefault(leaf.type, []).append(_feed(i, leaf, self._folds[i]))
        if _looks_into(leaf):
            self._payload_types.add(leaf.type)

    def _drop(self, leaf: Leaf) -> None:
        """Forget a leaf that no rule contains any more."""
        i = self._ids.pop(leaf)
        if (fact := truths.reads(leaf)) is not None:
            discard(self._readers, fact, i)
        if isinstance(leaf, EventLeaf):
            feeds = [feed for feed in self._feeds.pop(leaf.type) if feed[0] != i]
            if feeds:
                self._feeds[leaf.type] = feeds
            self._payload_types = {one.type for one in self._ids if isinstance(one, EventLeaf) and _looks_into(one)}
        for known in (self._folds, self._steady, self._timed, self._facts_leaves, self._leaf_truths):
            known.pop(i, None)
        self._blank_leaves.discard(i)

    def _leaf_truth(self, leaf: Leaf, i: int) -> Truth:
        match leaf:
            case EventLeaf():
                return truths.event_truth(self._folds[i], i)
            case Trait():
                return truths.trait_truth(leaf)
            case Consent():
                return truths.consent_truth(leaf)
            case IdentityLeaf():
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


def _feed(i: int, leaf: EventLeaf, fold: Fold) -> _Feed:
    return i, truths.matcher(leaf), truths.reader(leaf), fold.add, truths.stays(leaf) if fold.stays else None


def _looks_into(leaf: EventLeaf) -> bool:
    """Whether type and time of an event are not enough."""
    return bool(leaf.where or leaf.of)


def discard(known: dict[Any, set[Any]], key: object, value: object) -> None:
    """Take a value out of its set, and the set with the last one."""
    known[key].discard(value)
    if not known[key]:
        del known[key]
