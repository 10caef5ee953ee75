"""The bounds of a profile's state and view, whatever is sent. They depend only on the set of its events.

A view shows the latest written traits and purposes of consent, by the total order of events. Removed ones count among
them, so a name beyond the bound returns only if it is written again: it can be forgotten, and a state is the same
whatever the order of its events. Rows stay, and so does every name that a rule reads: rules answer as if there were no
bound.
"""

from collections.abc import Iterable, Mapping
from heapq import nlargest
from typing import Final, NamedTuple

LATEST: Final = 300
"""Traits, and purposes of consent, that a view shows: those written last."""

SHOWN_LENGTH: Final = 256 * 1024
"""Characters of these, names and JSON: earlier ones without room are not shown."""

MOST_FREQUENT: Final = 100
"""Event types that a view counts one by one."""

MOST_CURRENCIES: Final = 200

Written = tuple[int, str | None, str, str]
"""A trait or consent as last written: rank of its event, JSON text (None = removed), source, channel."""


class Kept(NamedTuple):
    """The names that are kept whether or not they are among the latest."""

    traits: frozenset[str] = frozenset()
    consents: frozenset[str] = frozenset()

    def all(self) -> list[str]:
        return sorted(self.traits | self.consents)


def keep_latest(values: dict[str, Written], kept: frozenset[str]) -> None:
    """Forget names that are neither among the latest nor kept."""
    if len(values) > LATEST + len(kept):
        latest = _latest(values)
        for name in values.keys() - latest.keys() - kept:
            del values[name]


def shown(values: Mapping[str, Written]) -> Mapping[str, Written]:
    """The part of these that a view shows: the latest, as long as their texts have room."""
    if len(values) <= LATEST and sum(_size(name, values[name]) for name in values) <= SHOWN_LENGTH:
        return values
    found: dict[str, Written] = {}
    room = SHOWN_LENGTH
    for name in _latest(values):
        room -= _size(name, values[name])
        if room < 0:
            break
        found[name] = values[name]
    return found


def shows_all(shown: Mapping[str, Written], values: Mapping[str, Written]) -> bool:
    """Whether nothing is beyond the bound. At the bound, something may have been forgotten."""
    return len(shown) == len(values) < LATEST


def largest(values: Mapping[str, int], most: int) -> Mapping[str, int]:
    """The `most` largest by size, whatever the sign; of equal ones the first by name."""
    if len(values) <= most:
        return values
    return dict(sorted(values.items(), key=lambda item: (-abs(item[1]), item[0]))[:most])


def _latest(values: Mapping[str, Written]) -> dict[str, None]:
    """Names by rank, the latest first. The traits of one event have one rank: of these the first by name."""
    names: Iterable[str] = sorted(values)
    return dict.fromkeys(nlargest(LATEST, names, key=lambda name: values[name][0]))


def _size(name: str, written: Written) -> int:
    return len(name) + len(written[1] or "")
