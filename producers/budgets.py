"""Budgets: the limits of one source, so that a public key makes nothing grow without bound.

Events and bytes are buckets that refill: a request that finds one empty is answered with 429 and may be sent again.
Names (of event types outside of the catalogue, of traits and properties) and identifiers are counted by day: once the
limit of *new* ones is reached, an event with another one is rejected and kept, and all other events are accepted. Names
in the contract, and names seen today or yesterday, are not new: an attacker who uses up a source's budget stops no
event that the source has been sending. In memory, per process; docs/security.md has the sizes.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

from registry.models import UNLIMITED, Budget, Source
from schemas.catalog import Catalog
from schemas.errors import InvalidEvent, Throttled

DAY_MS: Final = 86_400_000
BURST_SECONDS: Final = 60
"""The unused part of the last minute may come at once."""

LEAST_BURST: Final = 2_500
"""Events: one whole batch."""

LONG_NAME: Final = 64
"""Characters. A longer name counts once for each so many, in proportion to the memory that it takes."""

MOST_DAYS: Final = 16
"""The largest number of names in memory, in days' worth."""

MOST_SOURCES: Final = 1_000
LONGEST_WAIT: Final = 3_600

_LOW: Final = (1 << 64) - 1


class Bucket:
    """Holds up to `most`, and refills by `rate` per second; full at first. It may be overdrawn once."""

    __slots__ = ("_at", "_left", "_most", "_rate")

    def __init__(self, rate: float, most: float, now: int) -> None:
        self._rate, self._most, self._left, self._at = rate, most, most, now

    def wait(self, now: int) -> int:
        """Seconds until something may be taken; 0: now."""
        if now > self._at:
            self._left = min(self._most, self._left + (now - self._at) * self._rate / 1000)
            self._at = now
        return 0 if self._left > 0 else min(LONGEST_WAIT, int(-self._left / self._rate) + 1)

    def take(self, amount: int) -> None:
        self._left -= amount


class Names:
    """The known names, of which at most `most` may be added in a day. 0: any number."""

    def __init__(self, most: int, always: Iterable[str] = ()) -> None:
        self._most = most
        self._always = frozenset(always)
        self.known: set[str] = set(self._always)
        self._old: set[str] = set()
        self._spent = 0

    def next_day(self) -> None:
        self.known, self._old, self._spent = set(self._always), self.known, 0

    def take(self, *names: Collection[str]) -> bool:
        """Whether all of them are known or could be added; otherwise none is added."""
        if not self._most:
            return True
        young = self.known
        unseen = {name for some in names for name in some if name not in young}
        free = self._old if len(young) < MOST_DAYS * self._most else frozenset()
        fresh = sum(1 + len(name) // LONG_NAME for name in unseen - free)
        if self._spent + fresh > self._most:
            return False
        self._spent += fresh
        young |= unseen
        return True


class Sketch:
    """A Bloom filter over nodes, which are random bits already. It recognises every node that was seen, and once it
    holds `most`, it takes 1.4 % of new nodes for seen. It has sixteen bits for each and sets only two, since every
    person who is not cached passes it."""

    def __init__(self, most: int) -> None:
        self._size = 16 * max(1_000, most)
        self._bits = bytearray()

    def __contains__(self, node: int) -> bool:
        bits = self._bits
        if not bits:
            return False
        one, other = (node & _LOW) % self._size, (node >> 64) % self._size
        return bool(bits[one >> 3] >> (one & 7) & bits[other >> 3] >> (other & 7) & 1)

    def add(self, node: int) -> None:
        bits = self._bits
        if not bits:
            bits = self._bits = bytearray(self._size // 8)
        one, other = (node & _LOW) % self._size, (node >> 64) % self._size
        bits[one >> 3] |= 1 << (one & 7)
        bits[other >> 3] |= 1 << (other & 7)


class Identifiers:
    """The known nodes, of which at most `most` may be added in a day. 0: any number."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._young, self._old = Sketch(most), Sketch(most)
        self._spent = 0

    def next_day(self) -> None:
        self._young, self._old, self._spent = Sketch(self._most), self._young, 0

    def take(self, nodes: Iterable[int]) -> bool:
        """Whether all of them are known or could be added; otherwise none is added."""
        if not self._most:
            return True
        unseen = [node for node in nodes if node not in self._young]
        fresh = sum(node not in self._old for node in unseen)
        if self._spent + fresh > self._most:
            return False
        self._spent += fresh
        for node in unseen:
            self._young.add(node)
        return True


class Spending:
    """The use of one source's budget."""

    def __init__(self, source: Source, may: Callable[[str], int], contract: Iterable[str], now: int) -> None:
        self.source = source
        events, size = may("events_per_second"), may("megabytes_per_day") * 1_000_000
        self.events = Bucket(events, max(LEAST_BURST, events * BURST_SECONDS), now) if events else None
        self.bytes = Bucket(size * 1000 / DAY_MS, size, now) if size else None
        self.types = Names(may("types_per_day"))
        self.names = Names(may("names_per_day"), contract)
        self.identifiers = Identifiers(may("identifiers_per_day"))
        self.day = now // DAY_MS

    def follow(self, now: int) -> None:
        if now // DAY_MS > self.day:
            self.day = now // DAY_MS
            for one in (self.types, self.names, self.identifiers):
                one.next_day()


class Budgets:
    """The budgets of all sources. `ask` and `take` are for requests, the other two for the door. For one thread."""

    def __init__(self, defaults: Budget, catalog: Catalog) -> None:
        """`defaults`: for limits that a source's own budget does not set."""
        self._defaults = defaults
        self._contract = frozenset(name for event in catalog.all() for name in _properties(catalog, event.type))
        self._spendings: dict[str, Spending] = {}

    def ask(self, source: Source, now: int) -> None:
        """Check whether a request of this source may come now. Raises `Throttled` (codes `budget_events`,
        `budget_bytes`)."""
        spending = self._of(source, now)
        if spending is None:
            return
        for bucket, code, what in (
            (spending.events, "budget_events", "events"),
            (spending.bytes, "budget_bytes", "bytes"),
        ):
            if bucket is not None and (seconds := bucket.wait(now)):
                raise Throttled(
                    f"source: wanted no more {what} than its budget, got more; wait {seconds} s, or raise the budget",
                    code=code,
                    seconds=seconds,
                )

    def take(self, source: Source, events: int, size: int, now: int) -> None:
        """Count a request: its events, and its `size` in bytes, decompressed."""
        spending = self._of(source, now)
        if spending is None:
            return
        spending.follow(now)
        if spending.events is not None:
            spending.events.take(events)
        if spending.bytes is not None:
            spending.bytes.take(size)

    def names(
        self, source: Source, type_: str | None, traits: Collection[str], properties: Collection[str], now: int
    ) -> None:
        """Count an event's names; `type_` is None if the catalogue knows it. Raises `InvalidEvent` (codes
        `budget_types`, `budget_names`)."""
        spending = self._spendings.get(source.id)
        if spending is None or spending.source is not source:
            spending = self._of(source, now)
            if spending is None:
                return
        known = spending.names.known
        if not (known.issuperset(traits) and known.issuperset(properties)) and not spending.names.take(
            traits, properties
        ):
            raise _over("names of traits and properties", "budget_names")
        if type_ is not None and type_ not in spending.types.known and not spending.types.take((type_,)):
            raise _over("event types", "budget_types")

    def identifiers(self, source: Source, nodes: Collection[int], now: int) -> None:
        """Count an event's identifiers. Raises `InvalidEvent` (code `budget_identifiers`)."""
        spending = self._of(source, now)
        if spending is not None and not spending.identifiers.take(nodes):
            raise _over("identifiers", "budget_identifiers")

    def _of(self, source: Source, now: int) -> Spending | None:
        own = source.budget
        if own is UNLIMITED:
            return None
        known = self._spendings.get(source.id)
        if known is not None and (known.source is source or known.source.budget == own):
            known.source = source
            return known

        def may(name: str) -> int:
            given: int | None = getattr(own, name)
            return (getattr(self._defaults, name) if given is None else given) or 0

        made = self._spendings[source.id] = Spending(source, may, self._contract, now)
        if len(self._spendings) > MOST_SOURCES:
            del self._spendings[next(iter(self._spendings))]
        return made


def _over(what: str, code: str) -> InvalidEvent:
    return InvalidEvent(
        f"event: wanted no more new {what} than the source's budget has for a day, got one more; raise the budget and"
        " retry it, or send what is known",
        code=code,
    )


def _properties(catalog: Catalog, type_: str) -> Iterable[str]:
    described: Mapping[str, Any] = (catalog.schema(type_) or {}).get("properties") or {}
    return described.keys()
