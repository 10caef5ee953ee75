"""A segment's members by a query over all history, page by page, so that no size is too large.

A page is a range of profile ids. One that goes over the engine's limits of time or memory is asked for in halves.
"""

import logging
from collections.abc import Iterator
from typing import Final

from schemas.clock import Clock
from schemas.errors import Backpressure, InvalidInput
from segments.sql import Page, Resolve, compile_sql
from segments.tree import Rule
from warehouse.reader import Reader

_LOG = logging.getLogger(__name__)

PAGE: Final = 250_000
"""Profiles of a page, about: a few hundred bytes of memory each here, and as much in the engine for each leaf."""
_SMALLEST: Final = 1_000
_END: Final = 2**128
_COUNT: Final = "SELECT uniq(profile) FROM identity"


def whole(profiles: int) -> list[Page]:
    """All profiles, in pages of about `PAGE`."""
    return _split(Page(0, _END - 1), profiles // PAGE + 1)


def count(reader: Reader) -> int:
    """How many profiles there are, about."""
    return int(reader.fill(_COUNT)[0][0])


def members_by_page(reader: Reader, rule: Rule, resolve: Resolve, clock: Clock) -> Iterator[tuple[Page, set[int]]]:
    """All pages in order, each with the profiles in it that satisfy the rule when it is asked.

    Raises what the reader does; `InvalidInput` (`query_too_large`) where not even a small page can be answered, and
    `InvalidRule` for a rule that makes no statement.
    """
    profiles = count(reader)
    waiting = whole(profiles)
    while waiting:
        page = waiting.pop(0)
        query = compile_sql(rule, clock(), resolve, page if waiting or page.first else None)
        try:
            members = {row[0] for row in reader.fill(query.sql, query.parameters)}
        except InvalidInput as error:
            held = profiles * (page.last - page.first + 1) // _END
            if error.code != "query_too_large" or held < _SMALLEST:
                raise
            _LOG.info("back-fill: some %d profiles at once are too many, asking for half of them", held)
            waiting[:0] = _split(page, 2)
            continue
        yield page, members


def fails(reader: Reader, resolve: Resolve, segment: str, clock: Clock) -> bool:
    """Whether a segment's members cannot be found, for a reason that does not pass. Keeps none of them."""
    try:
        for _ in members_by_page(reader, resolve(segment), resolve, clock):
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
