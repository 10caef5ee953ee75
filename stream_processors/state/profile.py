"""Profiles in memory: a bounded cache of folds of the warehouse's rows.

A `ProfileState` is a pure function of the rows of its nodes, within the bounds of `state.bounds`. Every part of it
combines (sums of exact money, minima, maxima, last writer in the total order of events, leaf states), so a state is the
same whether it is loaded cold, updated by batches, or made by absorbing another, in any order.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

import msgspec
import orjson
from msgspec.structs import replace

from schemas import orders
from schemas.clock import iso
from schemas.order import time_of
from schemas.untyped import Json
from segments.facts import ProfileFacts, net
from stream_processors.parse.money import decimal
from stream_processors.state.bounds import Kept, Written, keep_latest, shown, shows_all

CACHED_PROFILES: Final = 100_000
"""States in memory at most."""

NEVER = 10_390_000_000_000
"""A moment in 2299, which means no moment, for `due` and the like."""


class SeenIdentifier(msgspec.Struct, gc=False, order=True):
    """An identifier, and when it was seen first and last, in ms."""

    type: str
    value: str
    first_seen: int
    last_seen: int

    def see(self, first: int, last: int) -> None:
        """It was seen then, too."""
        if first < self.first_seen:  # noqa: PLR1730 - once per identifier of an event: calls of `min` cost more
            self.first_seen = first
        if last > self.last_seen:  # noqa: PLR1730 - as above
            self.last_seen = last


Texts = tuple[str, str, str, str]
"""Traits, their provenance, consent and who stated it, as JSON."""


@dataclass(slots=True)
class ProfileState:
    """Times in ms, money in millionths by currency. `facts`: the input of segment rules, with their leaf states."""

    nodes: set[int] = field(default_factory=set)
    traits: dict[str, Written] = field(default_factory=dict)
    consents: dict[str, Written] = field(default_factory=dict)
    identifiers: dict[int, SeenIdentifier] = field(default_factory=dict)
    """By node."""
    counts: dict[str, int] = field(default_factory=dict)
    events: int = 0
    orders_placed: int = 0
    """Orders, with those that were cancelled."""
    orders: int = 0
    revenue: dict[str, int] = field(default_factory=dict)
    refunds: dict[str, int] = field(default_factory=dict)
    first_seen: int = NEVER
    last_seen: int = 0
    memberships: dict[str, int] = field(default_factory=dict)
    """Segment -> entered_at."""
    facts: ProfileFacts = field(default_factory=lambda: ProfileFacts(identity_types=set()))
    texts: Texts | None = None
    """As shown: with computed traits in place of sent ones."""
    sent_texts: Texts | None = None
    """As sent; None when a trait or consent has changed since they were made."""
    around: tuple[str, str, Mapping[str, str]] = ("", "", {})
    """What computed traits stand among: the other traits and their provenance, and what was sent under their names."""

    def add_event(self, kind: str, time: int) -> None:
        self.events += 1
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if time < self.first_seen:  # noqa: PLR1730 - once per event: a call of `min` costs more than the rest of it
            self.first_seen = time
        if time > self.last_seen:  # noqa: PLR1730 - as above
            self.last_seen = time

    def add_events(self, kind: str, count: int, first: int, last: int) -> None:
        """Many events of one type at once."""
        self.events += count
        self.counts[kind] = self.counts.get(kind, 0) + count
        self.first_seen = min(self.first_seen, first)
        self.last_seen = max(self.last_seen, last)

    def add_order(self, kind: str, money: tuple[str, int] | None) -> None:
        """An order of which one event alone tells. Without an order, an update or a cancellation adds nothing."""
        if kind == orders.PLACED:
            self.orders_placed += 1
            self.orders += 1
        if money is not None:
            if kind == orders.PLACED:
                self.revenue[money[0]] = self.revenue.get(money[0], 0) + money[1]
            elif kind == orders.REFUNDED:
                self.refunds[money[0]] = self.refunds.get(money[0], 0) + money[1]

    def add_orders(self, placed: int, cancelled: int, revenue: Mapping[str, int], refunds: Mapping[str, int]) -> None:
        """Many orders at once."""
        self.orders_placed += placed
        self.orders += placed - cancelled
        for sums, added in ((self.revenue, revenue), (self.refunds, refunds)):
            for currency, amount in added.items():
                sums[currency] = sums.get(currency, 0) + amount

    def forget_orders(self) -> None:
        self.orders_placed = self.orders = 0
        self.revenue, self.refunds = {}, {}

    def add_identifier(self, node: int, seen: SeenIdentifier) -> bool:
        """Whether this one is new to the state."""
        known = self.identifiers.get(node)
        if known is None:
            self.identifiers[node] = replace(seen)  # the state's own: it changes
            self.identity_types.add(seen.type)
            return True
        known.see(seen.first_seen, seen.last_seen)
        return False

    def absorb(self, other: "ProfileState") -> None:
        """Become the state of both profiles' rows. The caller handles leaf states and memberships."""
        self.nodes |= other.nodes
        for kind, theirs in (("trait", other.traits), ("consent", other.consents)):
            for name, written in theirs.items():
                self.write(kind, name, written)
        for node, seen in other.identifiers.items():
            self.add_identifier(node, seen)
        self.events += other.events
        for kind, count in other.counts.items():
            self.counts[kind] = self.counts.get(kind, 0) + count
        self.add_orders(other.orders_placed, other.orders_placed - other.orders, other.revenue, other.refunds)
        self.first_seen = min(self.first_seen, other.first_seen)
        self.last_seen = max(self.last_seen, other.last_seen)

    def write(self, kind: str, name: str, written: Written) -> bool:
        """Write a trait or a consent if it is the later one, by version. Returns whether it was."""
        values = self.consents if kind == "consent" else self.traits
        known = values.get(name)
        if known is not None and known[0] >= written[0]:
            return False
        values[name] = written
        self.sent_texts = None
        return True

    @property
    def identity_types(self) -> set[str]:
        types = self.facts.identity_types
        assert isinstance(types, set)
        return types

    def keep_latest(self, kept: Kept) -> None:
        """Apply the bounds. Call it after many writes."""
        keep_latest(self.traits, kept.traits)
        keep_latest(self.consents, kept.consents)

    def current_facts(self, *, metrics: bool, kept: Kept) -> ProfileFacts:
        """The facts, updated from the state; `metrics` only if a rule reads them. `kept`: the names that rules read."""
        facts = self.facts
        if self.sent_texts is None:
            self.keep_latest(kept)
            traits, consents = shown(self.traits), shown(self.consents)
            self.texts = self.sent_texts = (
                object_text(traits),
                provenance_text(traits),
                object_text(consents),
                stated_text(consents, self.consents),
            )
            facts.traits = facts.sent = _values(self.texts[0], traits, self.traits)
            facts.consent = _values(self.texts[2], consents, self.consents)
            self.around = ("", "", {})
        if metrics:
            facts.events = self.events
            facts.orders = self.orders
            facts.orders_placed = self.orders_placed
            facts.revenue = {currency: decimal(amount) for currency, amount in self.revenue.items()}
            facts.refunds = {currency: decimal(amount) for currency, amount in self.refunds.items()}
            facts.net_revenue = net(facts.revenue, facts.refunds)
            facts.first_seen = self.first_seen if self.events else None
            facts.last_seen = self.last_seen if self.events else None
        return facts

    def show_computed(self, owned: Mapping[str, int]) -> None:
        """Bring `texts` up to date with `facts.computed`. `owned`: all computed traits, with their versions."""
        assert self.sent_texts is not None
        if not self.around[1]:
            self.around = _around(shown(self.traits), owned)
        elif not self.facts.renewed:
            return
        self.facts.renewed = False
        others, origins, hidden = self.around
        computed = sorted(self.facts.computed.items())
        traits = [others, *(f'"{name}":{text}' for name, text in computed)]  # a computed trait's name needs no escape
        told = [origins, *(f'"{name}":{{"computed":{owned[name]}}}' for name, _ in computed if name not in hidden)]
        for name, shadowed in hidden.items():
            version = f'"computed":{owned[name]},' if name in self.facts.computed else ""
            told.append(f'"{name}":{{{version}{shadowed}}}')
        self.texts = (_object(traits), _object(told), *self.sent_texts[2:])


def _around(sent: Mapping[str, Written], owned: Mapping[str, int]) -> tuple[str, str, Mapping[str, str]]:
    others = {name: written for name, written in sent.items() if name not in owned}
    hidden = {name: written for name, written in sent.items() if name in owned and written[1] is not None}
    shadowed = {name: f'"shadowed":{_shadowed(written)}' for name, written in hidden.items()}
    return object_text(others)[1:-1], provenance_text(others)[1:-1] or " ", shadowed


def _shadowed(written: Written) -> str:
    ver, text, source, channel = written
    origin = orjson.dumps({"source": source, "channel": channel, "time": iso(time_of(ver))}).decode()
    return f'{{"value":{text},{origin[1:]}'


def _object(members: Sequence[str]) -> str:
    return "{" + ",".join(filter(str.strip, members)) + "}"


def object_text(values: Mapping[str, Written]) -> str:
    """JSON of the values that were not removed, by name. Stored values are JSON already, so they are joined."""
    parts = [f"{_quoted(name)}:{text}" for name, (_, text, _, _) in sorted(values.items()) if text is not None]
    return "{" + ",".join(parts) + "}"


def provenance_text(values: Mapping[str, Written]) -> str:
    """JSON: name -> the source, channel and time of the write that won."""
    return orjson.dumps(
        {
            name: {"source": source, "channel": channel, "time": iso(time_of(ver))}
            for name, (ver, text, source, channel) in sorted(values.items())
            if text is not None
        }
    ).decode()


NOTHING_STATED: Final = "[{},true]"


def stated_text(shown: Mapping[str, Written], known: Mapping[str, Written]) -> str:
    """JSON: [{purpose: [time in ms, source, channel] of the statement that holds}, whether these are all that there
    are]. Where they are not, the tables know the others."""
    if not known:
        return NOTHING_STATED
    origins = {
        name: [time_of(ver), source.removeprefix("/sources/"), channel]
        for name, (ver, text, source, channel) in sorted(shown.items())
        if text is not None
    }
    return orjson.dumps([origins, shows_all(shown, known)]).decode()


def _values(text: str, shown: Mapping[str, Written], values: Mapping[str, Written]) -> dict[str, Json]:
    """The shown part, with its `text` and provenance."""
    found: dict[str, Json] = orjson.loads(text)
    if len(shown) < len(values):
        rest = {name: written[1] for name, written in values.items() if name not in shown}
        found |= {name: orjson.loads(value) for name, value in rest.items() if value is not None}
    return found


def _quoted(name: str) -> str:
    return orjson.dumps(name).decode()


def inherit(into: dict[str, int], memberships: Mapping[str, int]) -> None:
    """Take over an absorbed profile's memberships, each from its earliest moment on."""
    for segment, entered in memberships.items():
        into[segment] = min(entered, into.get(segment, entered))


Cached = TypeVar("Cached")


class ProfileCache(Generic[Cached]):
    """The most recently used states, at most `bound` of them."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._states: OrderedDict[int, Cached] = OrderedDict()

    def get(self, profile: int) -> Cached | None:
        state = self._states.get(profile)
        if state is not None:
            self._states.move_to_end(profile)
        return state

    def put(self, profile: int, state: Cached) -> None:
        self._states[profile] = state
        self._states.move_to_end(profile)

    def drop(self, profile: int) -> Cached | None:
        return self._states.pop(profile, None)

    def trim(self) -> None:
        """Apply the bound. Called between batches, since a batch keeps the states that it touches."""
        while len(self._states) > self._bound:
            self._states.popitem(last=False)

    def profiles(self) -> list[int]:
        """Those used last at the end."""
        return list(self._states)

    def items(self) -> list[tuple[int, Cached]]:
        """The same with their states."""
        return list(self._states.items())

    def clear(self) -> None:
        self._states.clear()

    def __len__(self) -> int:
        return len(self._states)
