"""Where a value stands in a vendor's message: `data.object.id`, `a.b|c` (the first that is there), `header:x-topic`.

A path leads through members of objects and, by number, items of lists. `.` is the item itself. `header:NAME` and
`query:NAME` read the request, `body:PATH` the whole message that the item is a part of. null and "" count as absent.
"""

from functools import lru_cache
from typing import Final, NamedTuple

from producers.vendors.request import VendorRequest

LONGEST: Final = 500
_MOST_STEPS: Final = 32


class ValuePlace(NamedTuple):
    """One alternative of a path. `where`: item, header, query or body."""

    where: str
    name: str
    steps: tuple[str, ...]


class Scope(NamedTuple):
    """What paths are read from: an item, its request, and the whole message."""

    item: object
    request: VendorRequest
    whole: object = None


def find(path: str, scope: Scope) -> object:
    """The value; None where there is none. The hot path of mapping: some twenty of these for each event."""
    for where, name, steps in places(path):
        if where == "item":
            value = scope.item
        elif where == "body":
            value = scope.whole
        elif where == "header":
            value = scope.request.headers.get(name)
        else:
            value = scope.request.query.get(name)
        for step in steps:
            if type(value) is dict:  # as a JSON parser makes them: a call of isinstance would cost as much again
                value = value.get(step)
            elif type(value) is list and step.isascii() and step.isdecimal() and len(step) < 6:
                value = value[int(step)] if int(step) < len(value) else None
            else:
                value = None
                break
        if value is not None and value != "":
            return value
    return None


@lru_cache(4096)
def places(path: str) -> tuple[ValuePlace, ...]:
    return tuple(_place(one.strip()) for one in path.split("|"))


def _place(path: str) -> ValuePlace:
    where, colon, rest = path.partition(":")
    if colon and where in ("header", "query"):
        return ValuePlace(where, rest, ())
    if colon and where == "body":
        return ValuePlace("body", "", _steps(rest))
    return ValuePlace("item", "", _steps(path))


def _steps(path: str) -> tuple[str, ...]:
    return () if path in ("", ".") else tuple(path.split(".")[:_MOST_STEPS])


def as_text(value: object) -> str | None:
    """A text, or a number as text; None for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    return str(value) if isinstance(value, int) and value.bit_length() <= 1024 else None
