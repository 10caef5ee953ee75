"""Where a value stands in a vendor's message: `data.object.id`, `a.b|c` (the first that is there), `header:x-topic`.

A path leads through members of objects and, by number, items of lists. `.` is the item itself. `header:NAME` and
`query:NAME` read the request, `body:PATH` the whole message that the item is a part of. null and "" count as absent.

A path is taken apart once: `reader` makes a function of it. Some twenty of them run for each event.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from producers.vendors.request import VendorRequest

LONGEST: Final = 500
_MOST_STEPS: Final = 32
_MOST_DIGITS: Final = 5

_Step = tuple[str, int]
"""A member's name, and the same as the number of a list's item, or -1."""


@dataclass(slots=True)
class Scope:
    """What paths are read from: an item, its request, and the whole message."""

    item: object
    request: VendorRequest
    whole: object = None


Reader = Callable[[Scope], object]
"""The value; None where there is none."""


def find(path: str, scope: Scope) -> object:
    """The value; None where there is none."""
    return reader(path)(scope)


@lru_cache(4096)
def reader(path: str) -> Reader:
    """The function that finds what stands at a path."""
    places = [_of_place(one.strip()) for one in path.split("|")]
    if len(places) == 1:
        return places[0]

    def first(scope: Scope) -> object:
        for place in places:
            if (value := place(scope)) is not None:
                return value
        return None

    return first


def _of_place(path: str) -> Reader:
    where, colon, rest = path.partition(":")
    if colon and where == "header":
        return lambda scope: scope.request.headers.get(rest) or None
    if colon and where == "query":
        return lambda scope: scope.request.query.get(rest) or None
    if colon and where == "body":
        return _from_whole(_steps(rest))
    steps = _steps(path)
    return _member(steps[0]) if len(steps) == 1 else _from_item(steps)


def _steps(path: str) -> tuple[_Step, ...]:
    names = () if path in ("", ".") else tuple(path.split(".")[:_MOST_STEPS])
    return tuple((name, int(name) if _is_number(name) else -1) for name in names)


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal() and len(name) <= _MOST_DIGITS


def _member(step: _Step) -> Reader:
    """One step from the item, as most paths are."""
    name, _ = step

    def read(scope: Scope) -> object:
        item = scope.item
        value = item.get(name) if type(item) is dict else _below(item, (step,))
        return None if value == "" else value

    return read


def _from_item(steps: tuple[_Step, ...]) -> Reader:
    def read(scope: Scope) -> object:
        value = _below(scope.item, steps)
        return None if value == "" else value

    return read


def _from_whole(steps: tuple[_Step, ...]) -> Reader:
    def read(scope: Scope) -> object:
        value = _below(scope.whole, steps)
        return None if value == "" else value

    return read


def _below(value: object, steps: tuple[_Step, ...]) -> object:
    for name, number in steps:
        if type(value) is dict:  # as a JSON parser makes them: a call of isinstance would cost as much again
            value = value.get(name)
        elif type(value) is list and 0 <= number < len(value):
            value = value[number]
        else:
            return None
    return value


def as_text(value: object) -> str | None:
    """A text, or a number as text; None for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    return str(value) if isinstance(value, int) and value.bit_length() <= 1024 else None
