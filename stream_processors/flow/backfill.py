"""Finds the members of segments by a query over all history, for several at once and page by page, so that no size is
too large.

A page is a range of profile ids. A page that exceeds the engine's limits of time or memory is queried in halves.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from schemas.clock import Clock
from schemas.errors import Backpressure, InvalidInput, SimorghError
from segments.size import size_of
from segments.sql import Page, Query, Resolve, compile_differing, compile_several, compile_usual_gap
from segments.tree import Computation, EventValue, Rule
from warehouse import latest
from warehouse.reader import Reader

_LOG = logging.getLogger(__name__)

PAGE: Final = 250_000
"""Profiles of a page, about: a few hundred bytes of memory each here, and as much in the engine for each leaf."""
TOGETHER: Final = 300
"""Nodes of rules in one query, about: as many as one rule may have with the segments that it names."""
_SMALLEST: Final = 1_000
_END: Final = 2**128
EVERYBODY: Final = Page(0, _END - 1)


@dataclass(frozen=True, slots=True)
class PageOfMembers:
    """A page of the answer: segment -> the profiles in the page that satisfy its rule."""

    page: Page
    members: Mapping[str, set[int]]
    due: Mapping[int, int]
    """Profile -> a moment, in ms, before which time alone changes none of these segments for it."""

    @property
    def share(self) -> float:
        """The share of all profiles in this page and those before it."""
        return share(self.page)


def share(page: Page) -> float:
    """The share of all profiles in this page and those before it."""
    return (page.last + 1) / _END


def whole(profiles: int) -> list[Page]:
    """All profiles, in pages of about `PAGE`."""
    return _split(EVERYBODY, profiles // PAGE + 1)


def count(reader: Reader) -> int:
    """The approximate number of profiles."""
    return int(reader.fill(latest.ABOUT_HOW_MANY)[0][0])


def together(segments: Iterable[str], resolve: Resolve) -> list[list[str]]:
    """Segments in groups that fit into a query."""
    groups: list[list[str]] = []
    room = 0
    for segment in segments:
        try:
            nodes = size_of(resolve(segment), resolve).nodes
        except SimorghError:  # whatever is wrong with it shows when it is asked for
            nodes = TOGETHER
        if nodes > room:
            groups.append([])
            room = TOGETHER
        groups[-1].append(segment)
        room -= nodes
    return groups


def members_by_page(reader: Reader, segments: Iterable[str], resolve: Resolve, clock: Clock) -> Iterator[PageOfMembers]:
    """All pages in order, each with the profiles in it that satisfy the segments' rules when it is asked for.

    Raises the reader's errors; `InvalidInput` (`query_too_large`) if not even a small page succeeds, and `InvalidRule`
    for rules that cannot be compiled.
    """
    names = list(segments)
    rules: list[Rule] = [resolve(name) for name in names]
    for page, rows in _by_page(reader, lambda page: compile_several(rules, clock(), resolve, page)):
        members: list[set[int]] = [set() for _ in names]
        for profile, held_by, _ in rows:
            for index in held_by:
                members[index].add(profile)
        due = {profile: moment for profile, _, moment in rows if moment}
        yield PageOfMembers(page, dict(zip(names, members, strict=True)), due)


def differing_by_page(
    reader: Reader,
    traits: Mapping[str, tuple[Computation, int]],
    gone: Sequence[str],
    resolve: Resolve,
    clock: Clock,
) -> Iterator[tuple[Page, list[int]]]:
    """All pages in order, each with the profiles in it whose row does not have the values of these computed traits, or
    has them of another version, or still has traces of those that are `gone`. Raises as `members_by_page`."""
    if not (traits or gone):
        return
    for page, rows in _by_page(reader, lambda page: compile_differing(traits, gone, clock(), resolve, page)):
        yield page, [profile for (profile,) in rows]


def _by_page(reader: Reader, query: Callable[[Page | None], Query]) -> Iterator[tuple[Page, Sequence[Sequence[Any]]]]:
    """All pages in order with the rows of their queries; None is everybody in one."""
    profiles = count(reader)
    waiting = whole(profiles)
    while waiting:
        page = waiting.pop(0)
        asked = query(page if waiting or page.first else None)
        try:
            rows = reader.fill(asked.sql, asked.parameters)
        except InvalidInput as error:
            held = profiles * (page.last - page.first + 1) // _END
            if error.code != "query_too_large" or held < _SMALLEST:
                raise
            _LOG.info("back-fill: some %d profiles at once are too many, asking for half of them", held)
            waiting[:0] = _split(page, 2)
            continue
        yield page, rows


def usual_gap(reader: Reader, computation: Computation, now: int) -> int | None:
    """The median of all gaps between the days of profiles' events, in millionths of a day; None: there are none."""
    assert isinstance(computation, EventValue)
    query = compile_usual_gap(computation, now)
    rows = reader.fill(query.sql, query.parameters)
    return int(rows[0][0]) if rows and rows[0][1] else None


def fails(reader: Reader, resolve: Resolve, segment: str, clock: Clock) -> bool:
    """Whether a segment's members cannot be found, for a permanent reason. Keeps none of them."""
    try:
        for _ in members_by_page(reader, [segment], resolve, clock):
            pass
    except Backpressure:
        return False
    except Exception:
        return True
    return False


def _split(page: Page, parts: int) -> list[Page]:
    width = -(-(page.last - page.first + 1) // parts)
    firsts = range(page.first, page.last + 1, width)
    return [Page(first, min(first + width - 1, page.last)) for first in firsts]
