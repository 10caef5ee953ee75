"""Computed traits beside the live segments: each is computed before what reads it, in one order with the segments.

A computed trait owns its name: rules see its value or, if it has none, no value; what was sent under the name stays in
`ProfileFacts.sent`. A trait whose value did not change changes nothing else. Law, as for segments: at a quiescent (log
position, instant) the values equal those of `value_readings`.
"""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence, Set
from dataclasses import replace
from functools import partial
from graphlib import CycleError, TopologicalSorter
from heapq import heapify, heappop, heappush
from typing import Any, Final

import orjson

from segments.computed import ring, rules_of, taken_of, unit, units_of
from segments.facts import Pass, ProfileFacts
from segments.folds import earliest
from segments.live import LiveRules, topological
from segments.tree import MICROS, Balance, Cases, Computation, EventValue, Ratio, Rule, leaves_in
from segments.truths import Truth, matcher
from segments.value_entries import reader
from segments.value_folds import ValueFold, fold_for
from segments.value_texts import divided, json_text, number_text

Value = Callable[[Pass], str | None]
"""A computed trait's value as JSON text."""

_ALIKE: Final = frozenset({"first", "last", "list", "unique"})
"""What is read from an event in the same way."""
_FIRST: Final = 1 << 60
"""Numbers of what is taken of events, above those of leaves."""


class LiveTraits(LiveRules):
    """The live segments and computed traits. The traits stay as they are; other traits are another object.

    Raises `InvalidRule` if traits and segments depend on each other in a circle.
    """

    def __init__(self, rules: Mapping[str, Rule], traits: Mapping[str, Computation] | None = None) -> None:
        self.traits = dict(traits or {})
        self._named: dict[str, str] = {unit(name): name for name in self.traits}
        self._values: dict[str, Value] = {}
        self._taken: dict[EventValue, int] = {}
        self._fed: dict[tuple[str, EventValue], list[tuple[int, Any]]] = {}
        self._units_of_taken: dict[int, set[str]] = {}
        self._blank = ProfileFacts()
        self._on_traits: set[int] = set()
        """The leaves that read computed traits, and may change with time."""
        super().__init__({})
        for name, computation in self.traits.items():
            self._compile(unit(name), computation)
        self.become(rules)

    # ---- compiling

    def become(self, rules: Mapping[str, Rule]) -> None:
        super().become(rules)
        if not self._values:
            return
        for name, computation in self.traits.items():
            for rule in rules_of(computation):
                for leaf in leaves_in(rule):
                    i = self._ids[leaf]
                    self._affected[i] = frozenset(self._with_users(self._uses[i]))
            self._values[unit(name)] = self._value(computation)
        self._on_traits = {
            leaf for name in self.traits for leaf in self._readers.get(("trait", name), ()) if leaf in self._timed
        }
        self._renew_blank()

    def _compile(self, name: str, computation: Computation) -> None:
        for taken in taken_of(computation):
            self._units_of_taken.setdefault(self._take(taken), set()).add(name)
        for rule in rules_of(computation):
            self._enlist(name, rule)
        self._values[name] = lambda one: None

    def _take(self, taken: EventValue) -> int:
        """The number of what is taken, which is fed from now on."""
        known = self._taken.get(taken)
        if known is not None:
            return known
        i = self._taken[taken] = _FIRST + len(self._taken)
        fold = fold_for(taken)
        self._folds[i] = fold  # type: ignore[assignment]
        if fold.timed:
            self._timed[i] = partial(_due, i, fold)
        alike = replace(taken, take="first", within=None, opens=()) if taken.take in _ALIKE else taken
        for kind in taken.types:
            feed = self._fed.get((kind, alike))
            if feed is None:
                feed = self._fed[kind, alike] = []
                read = reader(alike)
                self._values_of.setdefault(kind, []).append((matcher(taken), read, feed))
            feed.append((i, fold.add))
            if taken.looks_into:
                self._value_payloads.add(kind)
        return i

    def _value(self, computation: Computation) -> Value:
        match computation:
            case EventValue():
                i, fold = self._fold(computation)
                return lambda one: None if (state := one.facts.leaves.get(i)) is None else fold.value(state, one.now)
            case Ratio(above=above, below=below):
                over, under = self._number_of(above), self._number_of(below)
                return lambda one: _ratio(over(one), under(one))
            case Balance(add=add, subtract=subtract):
                added, subtracted = map(self._number_of, add), map(self._number_of, subtract)
                signed = [*((1, one) for one in added), *((-1, one) for one in subtracted)]
                return lambda one: _balance([(sign, number(one)) for sign, number in signed])
            case Cases():
                return self._case(computation)

    def _fold(self, taken: EventValue) -> tuple[int, ValueFold]:
        i = self._taken[taken]
        return i, self._folds[i]  # type: ignore[return-value]

    def _number_of(self, taken: EventValue) -> Callable[[Pass], int | None]:
        i, fold = self._fold(taken)
        return lambda one: None if (state := one.facts.leaves.get(i)) is None else fold.number(state, one.now)

    def _case(self, cases: Cases) -> Value:
        truths: list[tuple[Truth, str]] = [
            (self._truth(rule), json_text(value)) for rule, value in zip(cases.rules, cases.values, strict=True)
        ]
        otherwise = None if cases.otherwise is None else json_text(cases.otherwise)
        return lambda one: next((value for truth, value in truths if truth(one)), otherwise)

    def _ranked(self, rules: Mapping[str, Rule], touched: Set[str]) -> dict[str, int]:
        if not self.traits:
            return super()._ranked(rules, touched)
        topological(rules)  # raises for segments that do not exist
        return {name: rank for rank, name in enumerate(in_order(rules, self.traits))}

    def _renew_blank(self) -> None:
        """What holds for an unknown profile."""
        self._blank = ProfileFacts()
        self._blank.true_leaves = set()
        self._own(self._blank)
        units = [*self.rules, *self._values]
        self._blank_truths = {
            name: holds for name, holds in self._settle(self._blank, units, {}, (), 0).items() if name in self.rules
        }
        one = Pass(self._blank, 0, {}, ())
        self._blank_leaves = {i for i, truth in self._leaf_truths.items() if truth(one)}

    # ---- one profile

    def update(
        self, facts: ProfileFacts, touched: Iterable[int], current: Container[str], now_ms: int
    ) -> dict[str, bool]:
        if not self._values:
            return super().update(facts, touched, current, now_ms)
        self._own(facts)
        if facts.true_leaves is None:
            return self._first_update(facts, now_ms)
        came = facts.due is not None and facts.due <= now_ms
        moved = {*touched, *self._timed} if came else set(touched)
        decided = self._settle(facts, self._moved(facts, moved, now_ms), {}, current, now_ms)
        if came:
            facts.due = self.next_change(facts, now_ms)
        else:
            facts.due = earliest(facts.due, self.next_change(facts, now_ms, moved | self._on_traits))
        return decided

    def _first_update(self, facts: ProfileFacts, now_ms: int) -> dict[str, bool]:
        if not self._values:
            return super()._first_update(facts, now_ms)
        facts.computed = dict(self._blank.computed)
        facts.renewed = True
        facts.traits = facts.traits if facts.sent is None else facts.sent
        self._own(facts)
        looked_at = {*self._facts_leaves, *(leaf for leaf in facts.leaves if leaf in self._folds)}
        facts.true_leaves = set(self._blank_leaves)
        units = self._moved(facts, looked_at, now_ms)
        decided = self._settle(facts, units, dict(self._blank_truths), (), now_ms)
        facts.due = self.next_change(facts, now_ms, looked_at)
        return decided

    def evaluate(self, facts: ProfileFacts, now_ms: int) -> frozenset[str]:
        if not self._values:
            return super().evaluate(facts, now_ms)
        self._own(facts)
        decided = self._settle(facts, [*self.rules, *self._values], {}, (), now_ms)
        return frozenset(segment for segment, holds in decided.items() if holds)

    def _decide(
        self,
        facts: ProfileFacts,
        segments: Iterable[str],
        decided: dict[str, bool],
        current: Container[str],
        now_ms: int,
    ) -> dict[str, bool]:
        return super()._decide(facts, (one for one in segments if one in self.rules), decided, current, now_ms)

    def _moved(self, facts: ProfileFacts, touched: Set[int], now_ms: int) -> set[str]:
        """The segments and traits that may have changed where these leaves have."""
        taken = touched & self._units_of_taken.keys()
        units = self.affected(self._flipped(facts, touched - taken, now_ms))
        for i in taken:
            units |= self._units_of_taken[i]
        return units

    def _settle(
        self,
        facts: ProfileFacts,
        units: Iterable[str],
        decided: dict[str, bool],
        current: Container[str],
        now_ms: int,
    ) -> dict[str, bool]:
        """Decide these segments and compute these traits, and what changes with them, in order."""
        one = Pass(facts, now_ms, decided, current)
        waiting = [(self._rank[name], name) for name in units]
        heapify(waiting)
        seen = {name for _, name in waiting}
        while waiting:
            _, name = heappop(waiting)
            trait = self._named.get(name)
            if trait is None:
                decided[name] = self._truths[name](one)
            elif self._renewed(trait, self._values[name](one), facts):
                flipped = self._flipped(facts, self._readers.get(("trait", trait), ()), now_ms)
                for user in self.affected(flipped) - seen:
                    seen.add(user)
                    heappush(waiting, (self._rank[user], user))
        return decided

    @staticmethod
    def _renewed(trait: str, value: str | None, facts: ProfileFacts) -> bool:
        """Whether the trait has another value now."""
        if facts.computed.get(trait) == value:
            return False
        facts.renewed = True
        seen: dict[str, Any] = facts.traits  # type: ignore[assignment] # its own: see `_own`
        if value is None:
            del facts.computed[trait]
            seen.pop(trait, None)
        else:
            facts.computed[trait] = value
            seen[trait] = orjson.loads(value)
        return True

    def _own(self, facts: ProfileFacts) -> None:
        """Let rules see computed traits in place of sent ones, unless they do."""
        if facts.sent is None or facts.traits is facts.sent:
            facts.sent = facts.traits
            seen = {name: value for name, value in facts.sent.items() if name not in self.traits}
            facts.traits = seen | {name: orjson.loads(text) for name, text in facts.computed.items()}


def in_order(rules: Mapping[str, Rule], traits: Mapping[str, Computation]) -> tuple[str, ...]:
    """Segments and traits, by their `unit`, each after what it stands on. Raises `InvalidRule` on a ring."""
    everything: dict[str, Any] = {**rules, **{unit(name): one for name, one in traits.items()}}
    below = {name: sorted(units_of(one) & everything.keys()) for name, one in everything.items()}
    try:
        return tuple(TopologicalSorter(below).static_order())
    except CycleError as error:
        raise ring() from error


def _ratio(above: int | None, below: int | None) -> str | None:
    if not below:
        return None
    return number_text(divided((above or 0) * MICROS, below))


def _balance(numbers: Sequence[tuple[int, int | None]]) -> str | None:
    known = [sign * number for sign, number in numbers if number is not None]
    return number_text(sum(known)) if known else None


def _due(i: int, fold: ValueFold, facts: ProfileFacts, now: int) -> int | None:
    state = facts.leaves.get(i)
    return None if state is None else fold.due(state, now)
