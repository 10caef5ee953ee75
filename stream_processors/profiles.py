"""Profiles in memory: a bounded cache of folds of the warehouse's rows.

A `ProfileState` is a pure function of the rows of its nodes, and every part of it combines (sums of exact money,
minima, maxima, last writer by (time, id), leaf states), so a state can be loaded cold, kept up to date by the batch,
or made by absorbing another, in any order, and is the same.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson

from stream_processors.money import decimal, micros
from stream_processors.segments.live import ProfileFacts

ORDER, REFUND = "order.completed", "order.refunded"
NEVER = 10_390_000_000_000
"""A moment in 2299, for `due` and the like: no moment at all."""

Written = tuple[int, str | None, str, str]
"""A trait or consent as last written: version, JSON text (None = removed), source, channel."""


@dataclass(slots=True)
class ProfileState:
    """Times in ms, money in millionths by currency. `leaves` belongs to the segments' live back end.

    `due`: the next moment at which time alone may change a segment; 0 = not known yet.
    """

    nodes: set[int] = field(default_factory=set)
    traits: dict[str, Written] = field(default_factory=dict)
    consents: dict[str, Written] = field(default_factory=dict)
    identifiers: dict[int, list[Any]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    revenue_micros: dict[str, int] = field(default_factory=dict)
    refunds_micros: dict[str, int] = field(default_factory=dict)
    first_seen: int = NEVER
    last_seen: int = 0
    leaves: dict[int, Any] = field(default_factory=dict)
    memberships: dict[str, int] = field(default_factory=dict)
    """Segment -> entered_at."""
    due: int = 0
    _values: tuple[dict[str, Any], dict[str, Any]] | None = None

    def add_event(self, kind: str, time: int, money: Mapping[str, str] | None) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if time < self.first_seen:
            self.first_seen = time
        if time > self.last_seen:
            self.last_seen = time
        if money is not None and money["currency"]:
            self.add_money(kind, money["currency"], micros(money["amount"]))

    def add_money(self, kind: str, currency: str, amount: int) -> None:
        sums = {ORDER: self.revenue_micros, REFUND: self.refunds_micros}.get(kind)
        if sums is not None:
            sums[currency] = sums.get(currency, 0) + amount

    def add_identifier(self, node: int, kind: str, value: str, first: int, last: int) -> None:
        known = self.identifiers.get(node)
        if known is None:
            self.identifiers[node] = [kind, value, first, last]
        else:
            known[2] = min(known[2], first)
            known[3] = max(known[3], last)

    def absorb(self, other: "ProfileState") -> None:
        """Become the state of both profiles' rows. Leaf states and memberships are the caller's affair."""
        self.nodes |= other.nodes
        for kind, theirs in (("trait", other.traits), ("consent", other.consents)):
            for name, written in theirs.items():
                self.write(kind, name, written)
        for node, (kind, value, first, last) in other.identifiers.items():
            self.add_identifier(node, kind, value, first, last)
        for sums, added in (
            (self.counts, other.counts),
            (self.revenue_micros, other.revenue_micros),
            (self.refunds_micros, other.refunds_micros),
        ):
            for key, amount in added.items():
                sums[key] = sums.get(key, 0) + amount
        self.first_seen = min(self.first_seen, other.first_seen)
        self.last_seen = max(self.last_seen, other.last_seen)

    @property
    def events(self) -> int:
        return sum(self.counts.values())

    @property
    def orders(self) -> int:
        return self.counts.get(ORDER, 0)

    @property
    def revenue(self) -> dict[str, Decimal]:
        return {currency: decimal(amount) for currency, amount in self.revenue_micros.items()}

    @property
    def refunds(self) -> dict[str, Decimal]:
        return {currency: decimal(amount) for currency, amount in self.refunds_micros.items()}

    def facts(self) -> ProfileFacts:
        """What segment rules may ask, as of now. Shares `leaves`; values are parsed once per change of traits."""
        if self._values is None:
            self._values = (present(self.traits), present(self.consents))
        traits, consent = self._values
        seen = self.last_seen > 0
        return ProfileFacts(
            traits=traits,
            consent=consent,
            identity_types={identifier[0] for identifier in self.identifiers.values()},
            events=self.events,
            orders=self.counts.get(ORDER, 0),
            revenue=self.revenue,
            refunds=self.refunds,
            first_seen=self.first_seen if seen else None,
            last_seen=self.last_seen if seen else None,
            leaves=self.leaves,
        )

    def write(self, kind: str, name: str, written: Written) -> bool:
        """Write a trait or a consent if it is the later one. Returns whether it was."""
        if write_later(self.consents if kind == "consent" else self.traits, name, written):
            self._values = None
            return True
        return False


def write_later(values: dict[str, Written], name: str, written: Written) -> bool:
    """Last writer wins by version, (time, id). Returns whether this one did."""
    known = values.get(name)
    if known is not None and known[0] >= written[0]:
        return False
    values[name] = written
    return True


def present(values: Mapping[str, Written]) -> dict[str, Any]:
    """Names and values of what was not removed, by name."""
    return {name: orjson.loads(text) for name, (_, text, _, _) in sorted(values.items()) if text is not None}


class ProfileCache:
    """The most recently used states, at most `bound` of them."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._states: OrderedDict[int, ProfileState] = OrderedDict()

    def get(self, profile: int) -> ProfileState | None:
        state = self._states.get(profile)
        if state is not None:
            self._states.move_to_end(profile)
        return state

    def put(self, profile: int, state: ProfileState) -> None:
        self._states[profile] = state
        self._states.move_to_end(profile)

    def drop(self, profile: int) -> ProfileState | None:
        return self._states.pop(profile, None)

    def trim(self) -> None:
        """Keep within the bound. Called between batches, since a batch holds on to what it touches."""
        while len(self._states) > self._bound:
            self._states.popitem(last=False)

    def clear(self) -> None:
        self._states.clear()

    def __len__(self) -> int:
        return len(self._states)
