"""The directory: which profile a node belongs to, and what identity knows of it. From the graph in memory, or from
tables.

An event whose nodes and links are known and connected is not appended to `simorgh.identity` again. In doubt it is:
known evidence changes nothing.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from identity.graph import IdentityGraph
from identity.receipt import Receipt
from stream_processors.parse.batch import HEARD, Batch
from stream_processors.state.cold import milliseconds
from stream_processors.state.touches import EVENT, Touches
from warehouse import latest
from warehouse.client import Writer

MOST_TUPLES: Final = 400_000
FRESH_MS: Final = 60_000
"""Ms after which a tuple is looked up again: its profile may be absorbed, and every touch would be passed on."""
TOLD_MS: Final = 1_000
"""Ms after which appended links are looked up: their profiles should be known by then."""

_LOOKED_UP = 20_000
_LINKS = """SELECT link, min(at), max(alias) FROM links WHERE link IN {links:Array(UInt128)} GROUP BY link"""
_HOMES = latest.homes("node IN {nodes:Array(UInt128)}")
_MEMBERS = latest.nodes("profile IN {profiles:Array(UInt128)}")

Nodes = tuple[int, ...]


class Known(NamedTuple):
    """What is known of an event's nodes: evidence received at `at` or later is no news until `until` (ms)."""

    at: int
    alias: bool
    until: int
    homes: dict[int, tuple[int, ...]] | None
    """Profile -> its nodes among these; None if identity does not know them yet."""


@dataclass(slots=True)
class News:
    """The news of a batch. `told`: indices of the events whose links are appended; `touches`: profiles of the
    others."""

    told: list[int] = field(default_factory=list)
    touches: Touches = field(default_factory=Touches)


class Directory(Protocol):
    """One thread. Every answer may be outdated: if it changes, identity touches the profiles again."""

    def sort(self, batch: Batch, nodes: Collection[int]) -> News:
        """Which of the events that count are news for identity, and the profiles of the others. `nodes`: all of the
        batch."""
        ...

    def told(self, batch: Batch, news: News) -> None:
        """The news are durable in simorgh.identity: do not append them again."""
        ...

    def homes(self, nodes: Collection[int]) -> dict[int, int]:
        """Node -> its profile (0: nobody's); unknown nodes are missing."""
        ...

    def members(self, profiles: Collection[int]) -> dict[int, list[int]]:
        """Profile -> its nodes. A profile that does not exist is missing, or lacks its founder."""
        ...

    def forget(self) -> None:
        """Empty the cache of identifiers seen together."""
        ...


RECENT = 200_000
"""Tuples of identifiers that are known to belong together."""


class GraphDirectory:
    """The graph itself, in memory and up to date, for a process that holds everything."""

    def __init__(self, graph: Callable[[], IdentityGraph]) -> None:
        self._graph = graph
        self._recent: dict[Nodes, Receipt] = {}
        """Identifiers that were seen together and belong together -> the time after which they bring no news."""

    @property
    def remembered(self) -> int:
        """The number of combinations of identifiers in memory: at most `RECENT`."""
        return len(self._recent)

    def sort(self, batch: Batch, nodes: Collection[int]) -> News:
        """See `Directory.sort`. News are in the order of receipt, in which the graph decides, so it need not decide
        again."""
        news = News()
        told: set[int] = set()
        for _, i in self._by_receipt(batch):
            links = links_of(batch.nodes[i])
            if batch.events[i].alias is True or not told.issuperset(links):  # else an earlier one says as much
                told.update(links)
                news.told.append(i)
        profile_of, add = self._graph().profile_of, news.touches.add_node
        for some in (nodes, batch.own_nodes()):
            for node in some:
                if profile := profile_of(node):
                    add(profile, node)
        return news

    def _by_receipt(self, batch: Batch) -> list[tuple[Receipt, int]]:
        """The events that tell the graph something new, earliest first. Of those with the same identifiers the earliest
        speaks for the others, but where it is known and they are apart: a limit may have lapsed since."""
        knows, recent = self._graph().knows, self._recent
        found: list[tuple[Receipt, int]] = []
        for together, index in self._together(batch).items():
            first = index[0] if len(index) == 1 else _earliest(batch, index)
            receipt = receipt_of(batch, first)
            if (known := recent.get(together)) is not None and known <= receipt:
                continue
            if not knows(together, receipt, alias=batch.events[first].alias is True):
                found.append((receipt, first))
                others = [i for i in index if i != first and batch.events[i].alias is True]
            elif self._hold_together(together):
                recent[together] = receipt
                continue
            else:
                others = [i for i in index if i != first]
            for i in others:
                receipt = receipt_of(batch, i)
                if not knows(together, receipt, alias=batch.events[i].alias is True):
                    found.append((receipt, i))
        if len(recent) > RECENT:
            self.forget()
        found.sort()
        return found

    def _together(self, batch: Batch) -> dict[Nodes, list[int]]:
        """Identifiers -> the events that count and have just these, but for those received after they were seen to
        belong together."""
        recent, received = self._recent.get, batch.received
        found: dict[Nodes, list[int]] = {}
        for i, together in enumerate(batch.nodes):
            if not together or batch.state[i] not in HEARD:
                continue
            known = recent(together)
            if known is not None and known.at < received[i]:
                continue
            if (index := found.get(together)) is None:
                found[together] = [i]
            else:
                index.append(i)
        return found

    def _hold_together(self, nodes: Nodes) -> bool:
        profile_of = self._graph().profile_of
        return len(nodes) == 1 or len({profile_of(node) for node in nodes}) == 1

    def told(self, batch: Batch, news: News) -> None:
        """Does nothing: the graph knows them as soon as it has folded them."""

    def homes(self, nodes: Collection[int]) -> dict[int, int]:
        graph = self._graph()
        return {node: graph.profile_of(node) for node in nodes if graph.type_of(node)}

    def members(self, profiles: Collection[int]) -> dict[int, list[int]]:
        nodes_of = self._graph().nodes_of
        return {profile: nodes for profile in profiles if (nodes := nodes_of(profile))}

    def forget(self) -> None:
        self._recent.clear()


def receipt_of(batch: Batch, i: int) -> Receipt:
    return Receipt.event(batch.received[i], batch.events[i].place, batch.keys[i])


def _earliest(batch: Batch, index: Sequence[int]) -> int:
    """Which of these events was received first."""
    received = batch.received
    at = min([received[i] for i in index])
    first = [i for i in index if received[i] == at]
    return first[0] if len(first) == 1 else min(first, key=lambda i: receipt_of(batch, i))


def _is_more(told: dict[Nodes, tuple[Receipt, bool]], nodes: Nodes, at: Receipt, alias: bool) -> bool:
    """Whether the batch brings this for the first time. Remembers it."""
    known = told.get(nodes)
    if known is not None and known[0] <= at and known[1] >= alias:
        return False
    told[nodes] = (at, alias or bool(known and known[1]))
    return True


class TableDirectory:
    """The tables `identity`, `members` and `links`, which others write. Answers about tuples of nodes are cached for a
    while. A batch looks up all unknown ones together, with one query for links and one for nodes."""

    def __init__(self, writer: Writer, clock: Callable[[], int], most: int = MOST_TUPLES) -> None:
        self._writer = writer
        self._clock = clock
        self._cache = _Cache(most)

    def forget(self) -> None:
        """Empty the cache: it is filled again from the tables."""
        self._cache.clear()

    def sort(self, batch: Batch, nodes: Collection[int]) -> News:
        """See `Directory.sort`."""
        now = self._clock()
        known: dict[Nodes, Known | None] = {}
        for together, state in zip(batch.nodes, batch.state, strict=True):
            if together and state in HEARD and together not in known:
                entry = self._cache.get(together)
                known[together] = entry if entry and now < entry.until else None
        self._look_up([together for together, entry in known.items() if entry is None], known, now)
        return self._sorted(batch, known)

    def told(self, batch: Batch, news: News) -> None:
        until = self._clock() + TOLD_MS
        for i in news.told:
            alias = batch.events[i].alias is True
            self._cache.put(batch.nodes[i], Known(batch.received[i], alias, until, None))

    @staticmethod
    def _sorted(batch: Batch, known: dict[Nodes, Known | None]) -> News:
        news = News()
        told: dict[Nodes, tuple[Receipt, bool]] = {}
        for i, nodes in enumerate(batch.nodes):
            if not nodes or batch.state[i] not in HEARD:
                continue
            at, alias, entry = batch.received[i], batch.events[i].alias is True, known[nodes]
            if entry and entry.at < at and entry.alias >= alias:  # of one moment, the place in the request decides
                _touch(news.touches, nodes, entry)
            elif _is_more(told, nodes, receipt_of(batch, i), alias):
                news.told.append(i)
        news.told.sort(key=lambda i: receipt_of(batch, i))
        return news

    def homes(self, nodes: Collection[int]) -> dict[int, int]:
        found: dict[int, int] = {}
        for some in _some(nodes):
            found.update(self._writer.look_up(_HOMES, {"nodes": some}))
        return found

    def members(self, profiles: Collection[int]) -> dict[int, list[int]]:
        members: dict[int, list[int]] = {}
        for some in _some(profiles):
            for profile, node in self._writer.look_up(_MEMBERS, {"profiles": some}):
                members.setdefault(profile, []).append(node)
        return members

    # ---- looking up

    def _look_up(self, wanted: Sequence[Nodes], known: dict[Nodes, Known | None], now: int) -> None:
        if not wanted:
            return
        links = self._links({link for nodes in wanted for link in links_of(nodes)})
        homes = self.homes({node for nodes in wanted for node in nodes})
        for nodes in wanted:
            found = [links.get(link) for link in links_of(nodes)]
            own = {homes.get(node) for node in nodes} - {0}
            if None in found or len(own) > 1 or None in own:
                continue  # something is new, or refused so far: a limit may have lapsed
            received = [link[0] for link in found if link]
            alias = all(link[1] for link in found[len(set(nodes)) :] if link)
            grouped = {home: tuple(dict.fromkeys(nodes)) for home in own if home}
            entry = Known(max(received), alias, now + FRESH_MS, grouped)
            known[nodes] = entry
            self._cache.put(nodes, entry)

    def _links(self, links: set[int]) -> dict[int, tuple[int, bool]]:
        found: dict[int, tuple[int, bool]] = {}
        for some in _some(links):
            for link, at, alias in self._writer.look_up(_LINKS, {"links": some}):
                found[link] = (milliseconds(at), bool(alias))
        return found


def links_of(nodes: Nodes) -> list[int]:
    """The keys in the table `links` of an event's evidence: each node, then its anchor with each of the others."""
    if len(nodes) == 1:
        return [nodes[0]]
    distinct = list(dict.fromkeys(nodes))
    return distinct + [distinct[0] ^ node for node in distinct[1:]]


def _some(keys: Collection[int]) -> Iterable[list[int]]:
    wanted = list(keys)
    return (wanted[start : start + _LOOKED_UP] for start in range(0, len(wanted), _LOOKED_UP))


def _touch(touches: Touches, nodes: Nodes, entry: Known) -> None:
    if entry.homes is None:  # to the owner of the anchor's name, who will know
        touches.add(nodes[0], EVENT, nodes)
        return
    for profile, theirs in entry.homes.items():
        touches.add(profile, EVENT, theirs)


class _Cache:
    """About the latest `most` tuples, in two halves: when the younger is full, the older is dropped."""

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
