"""The filter of news: which events may tell identity something, and whose the others are. Bounded, and never truth.

An event whose nodes and links are known, and hold together, is not told to identity again. In doubt it passes: known
evidence folds to nothing. The answer is looked up in the warehouse (a query for links, one for nodes, for all unknown
tuples of a batch together) and kept for a while.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from stream_processors.batch import UNIQUE, Batch
from stream_processors.cluster.touches import EVENT, Touches
from stream_processors.coldload import milliseconds
from warehouse.client import Writer

MOST_TUPLES: Final = 400_000
FRESH_MS: Final = 60_000
"""After so long a tuple is looked up again: its profile may be absorbed, and every touch of it go a longer way."""
TOLD_MS: Final = 1_000
"""After so long, what was told to identity is looked up: its profile should be known by then."""

_LOOKED_UP = 20_000
_LINKS = """SELECT link, min(at), max(alias) FROM links WHERE link IN {links:Array(UInt128)} GROUP BY link"""
_HOMES = """SELECT node, argMax(profile, ver) FROM identity WHERE node IN {nodes:Array(UInt128)} GROUP BY node"""

Nodes = tuple[int, ...]


class Known(NamedTuple):
    """What is known of the nodes of an event: evidence received at `at` or later is no news until `until` (ms)."""

    at: int
    alias: bool
    until: int
    homes: dict[int, tuple[int, ...]] | None
    """Profile -> its nodes among these; None where identity has not answered yet."""


@dataclass(slots=True)
class News:
    """What a batch brings. `told`: indices of the events to tell identity about; `touches`: profiles of the others."""

    told: list[int] = field(default_factory=list)
    touches: Touches = field(default_factory=Touches)


class Novelty:
    """One owner's filter. One thread."""

    def __init__(self, writer: Writer, clock: Callable[[], int], most: int = MOST_TUPLES) -> None:
        self._writer = writer
        self._clock = clock
        self._cache = _Cache(most)

    def forget(self) -> None:
        """Empty the cache: it is filled again from the tables."""
        self._cache.clear()

    def sort(self, batch: Batch) -> News:
        """Which of the events that count are news. Their rows, and those of all before them, are in the warehouse."""
        now = self._clock()
        known: dict[Nodes, Known | None] = {}
        for nodes, state in zip(batch.nodes, batch.state, strict=True):
            if nodes and state == UNIQUE and nodes not in known:
                entry = self._cache.get(nodes)
                known[nodes] = entry if entry and now < entry.until else None
        self._look_up([nodes for nodes, entry in known.items() if entry is None], known, now)
        return self._sorted(batch, known)

    def told(self, batch: Batch, news: News) -> None:
        """The news are in simorgh.identity, durable: not to be told again."""
        until = self._clock() + TOLD_MS
        for i in news.told:
            alias = batch.events[i].alias is True
            self._cache.put(batch.nodes[i], Known(batch.received[i], alias, until, None))

    @staticmethod
    def _sorted(batch: Batch, known: dict[Nodes, Known | None]) -> News:
        news = News()
        told: dict[Nodes, tuple[int, bool]] = {}
        for i, nodes in enumerate(batch.nodes):
            if not nodes or batch.state[i] != UNIQUE:
                continue
            at, alias, entry = batch.received[i], batch.events[i].alias is True, known[nodes]
            if entry and entry.at <= at and entry.alias >= alias:
                _touch(news.touches, nodes, entry)
            elif nodes not in told or told[nodes][0] > at or told[nodes][1] < alias:
                told[nodes] = (at, alias or told.get(nodes, (0, False))[1])
                news.told.append(i)
        return news

    # ---- looking up

    def _look_up(self, wanted: Sequence[Nodes], known: dict[Nodes, Known | None], now: int) -> None:
        if not wanted:
            return
        links = self._links({link for nodes in wanted for link in links_of(nodes)})
        homes = homes_of(self._writer, {node for nodes in wanted for node in nodes})
        for nodes in wanted:
            found = [links.get(link) for link in links_of(nodes)]
            own = {homes.get(node) for node in nodes} - {0}
            if None in found or len(own) > 1 or None in own:
                continue  # something is new, or refused so far: a limit may have lapsed
            births = [link[0] for link in found[: len(set(nodes))] if link]
            alias = all(link[1] for link in found[len(set(nodes)) :] if link)
            grouped = {home: tuple(dict.fromkeys(nodes)) for home in own if home}
            entry = Known(max(births), alias, now + FRESH_MS, grouped)
            known[nodes] = entry
            self._cache.put(nodes, entry)

    def _links(self, links: set[int]) -> dict[int, tuple[int, bool]]:
        found: dict[int, tuple[int, bool]] = {}
        wanted = list(links)
        for start in range(0, len(wanted), _LOOKED_UP):
            for link, at, alias in self._writer.look_up(_LINKS, {"links": wanted[start : start + _LOOKED_UP]}):
                found[link] = (milliseconds(at), bool(alias))
        return found


def links_of(nodes: Nodes) -> list[int]:
    """The keys in the table `links` of an event's evidence: each node, then its anchor with each of the others."""
    distinct = list(dict.fromkeys(nodes))
    return distinct + [distinct[0] ^ node for node in distinct[1:]]


def homes_of(writer: Writer, nodes: set[int]) -> dict[int, int]:
    """Node -> its profile today (0: nobody's); a node that identity has not heard of is missing."""
    homes: dict[int, int] = {}
    wanted = list(nodes)
    for start in range(0, len(wanted), _LOOKED_UP):
        for node, profile in writer.look_up(_HOMES, {"nodes": wanted[start : start + _LOOKED_UP]}):
            homes[node] = profile
    return homes


def _touch(touches: Touches, nodes: Nodes, entry: Known) -> None:
    if entry.homes is None:  # to the owner of the anchor's name, who will know
        touches.add(nodes[0], EVENT, nodes)
        return
    for profile, theirs in entry.homes.items():
        touches.add(profile, EVENT, theirs)


class _Cache:
    """Entries of the latest `most` tuples or so: two halves, the older of which is dropped when the younger is full."""

    def __init__(self, most: int) -> None:
        self._most = most // 2
        self._young: dict[Nodes, Known] = {}
        self._old: dict[Nodes, Known] = {}

    def get(self, nodes: Nodes) -> Known | None:
        entry = self._young.get(nodes)
        if entry is None and (entry := self._old.get(nodes)) is not None:
            self.put(nodes, entry)
        return entry

    def put(self, nodes: Nodes, entry: Known) -> None:
        if len(self._young) >= self._most:
            self._young, self._old = {}, self._young
        self._young[nodes] = entry

    def clear(self) -> None:
        self._young, self._old = {}, {}
