"""What computed traits take of one event: entries, each with its place in the total order of events."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from segments import lifecycle
from segments.computed import MOST_TEXT
from segments.tree import MICROS, EventValue
from segments.truths import getter
from segments.values import WRITTEN_OUT, at_path, distinct_key, items_of, micros

Place = tuple[int, str, int, str, int]
"""Time, receipt, place in the request and key of an event, and the place of a value within it: the total order
(`schemas.order`), with the texts of the envelope, which compare as what they stand for."""
Entry = tuple[Place, Any]
"""One value: a number in millionths, (currency, millionths), or a scalar of JSON; None where events are counted."""
Reads = Callable[[Mapping[str, Any], int], Sequence[Entry]]


def reader(taken: EventValue) -> Reads:
    """The entries of an event (envelope, time in ms)."""
    placed = _placed if taken.in_order else _at_time
    if taken.take == "count":
        return lambda event, time: ((_at_time(event, time, 0), None),)
    if taken.by_currency:
        return lambda event, time: [(placed(event, time, 0), money) for money in _money(event)]
    if taken.by_day:
        return lambda event, time: ((_at_time(event, time, 0), lifecycle.day_of(time, taken.zone)),)
    if taken.of in (("hour",), ("weekday",)):
        part = lifecycle.hour_of if taken.of == ("hour",) else lifecycle.weekday_of
        return lambda event, time: ((placed(event, time, 0), part(time, taken.zone)),)
    if taken.take == "open":
        return _opened(taken)
    at, read = getter(taken.of or ()), micros if taken.take in ("sum", "avg", "min", "max") else scalar

    def entries(event: Mapping[str, Any], time: int) -> Sequence[Entry]:
        found = at(event)
        if found is None:
            return ()
        values = [read(item) for item in items_of(found)]
        return [(placed(event, time, i), value) for i, value in enumerate(values) if value is not None]

    return entries


def _opened(taken: EventValue) -> Reads:
    path = taken.of or ()

    def entries(event: Mapping[str, Any], time: int) -> Sequence[Entry]:
        values = [one for item in items_of(at_path(event, path)) if (one := scalar(item)) is not None]
        return [(_placed(event, time, 0), (values[0], event.get("type") in taken.opens))] if values else ()

    return entries


def scalar(value: Any) -> Any:
    """A text, a number or a boolean as it is taken; None for anything else."""
    if type(value) is str:
        return value if len(value) <= MOST_TEXT else None
    if type(value) is bool:
        return value
    key = distinct_key(value)
    return int(key) if type(key) is float and key.is_integer() and abs(key) < WRITTEN_OUT else key


def _money(event: Mapping[str, Any]) -> Sequence[tuple[str, int]]:
    money = event.get("money")
    if type(money) is not dict or not money.get("currency"):
        return ()
    whole, _, part = str(money["amount"]).partition(".")
    sign = -1 if whole.startswith("-") else 1
    return ((money["currency"], sign * (abs(int(whole)) * MICROS + int(part[:6].ljust(6, "0")))),)


def _at_time(event: Mapping[str, Any], time: int, i: int) -> Place:
    return time, "", 0, "", i


def _placed(event: Mapping[str, Any], time: int, i: int) -> Place:
    return time, event.get("received_at", ""), event.get("place", 0), event.get("key", ""), i
