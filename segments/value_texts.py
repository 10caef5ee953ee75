"""Values of computed traits: how they are made of entries, and their JSON text, which both back ends write alike."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from segments.computed import MOST_ITEMS
from segments.tree import MICROS, EventValue
from segments.value_entries import Entry
from segments.values import distinct_key

_LARGEST: Final = 10**18 * MICROS
"""Numbers from here on are no values: neither back end nor reader would keep their digits."""


def reduced(take: str, values: Sequence[int]) -> int | None:
    """The number that is made of values in millionths."""
    if not values:
        return None
    match take:
        case "count":
            return len(values) * MICROS
        case "sum":
            return sum(values)
        case "avg":
            return divided(sum(values), len(values))
        case "min":
            return min(values)
        case _:
            return max(values)


def taken_text(taken: EventValue, entries: Sequence[Entry]) -> str | None:
    """The value of one or more sorted entries."""
    values = [value for _, value in entries]
    if taken.by_currency:
        return _money_text(taken, values)
    match taken.take:
        case "first" | "last":
            return json_text(values[0] if taken.take == "first" else values[-1])
        case "list":
            return list_text(values[: -MOST_ITEMS - 1 : -1])
        case "unique":
            newest = {distinct_key(value): value for value in reversed(values)}
            return list_text(list(newest.values())[:MOST_ITEMS])
        case "most_frequent":
            return _most_frequent(values)
        case _:
            return number_text(reduced(taken.take, values))


def _money_text(taken: EventValue, values: Sequence[tuple[str, int]]) -> str | None:
    amounts: dict[str, list[int]] = {}
    for currency, value in values:
        amounts.setdefault(currency, []).append(value)
    return object_text({currency: reduced(taken.take, some) for currency, some in amounts.items()})


def _most_frequent(values: Sequence[Any]) -> str:
    """Of equally frequent values the first by its JSON text."""
    counts = Counter(map(json_text, values))
    most = max(counts.values())
    return min((text for text, count in counts.items() if count == most), key=str.encode)


def divided(above: int, below: int) -> int:
    """Further digits are cut off."""
    whole = abs(above) // abs(below)
    return whole if (above < 0) == (below < 0) else -whole


def number_text(number: int | None) -> str | None:
    """Millionths as a JSON number without zeros at its end; None where it is too large."""
    if number is None or not -_LARGEST < number < _LARGEST:
        return None
    whole, part = divmod(abs(number), MICROS)
    digits = f"{whole}.{part:06d}".rstrip("0").rstrip(".") if part else str(whole)
    return f"-{digits}" if number < 0 else digits


def object_text(numbers: Mapping[str, int | None]) -> str | None:
    """A JSON object of numbers, by name."""
    texts = [(name, number_text(number)) for name, number in sorted(numbers.items())]
    parts = [f'"{name}":{text}' for name, text in texts if text is not None]
    return "{" + ",".join(parts) + "}" if parts else None


def json_text(value: Any) -> str:
    """Of a scalar; a whole number may have more than 64 bits."""
    return str(value) if type(value) is int else orjson.dumps(value).decode()


def list_text(values: Sequence[Any]) -> str:
    try:
        return orjson.dumps(list(values)).decode()
    except orjson.JSONEncodeError:
        return f"[{','.join(map(json_text, values))}]"
