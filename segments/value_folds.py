"""The state of what is taken of one profile's events, and its value as JSON text: the counterpart of `folds` for
computed traits.

As there, the outcome depends on the set of events only, windowed folds keep rows, and no state (None) means no event:
there is no value then. What the order of events decides is folded with its `Place`, so that there are no ties.
"""

from bisect import bisect_right, insort
from collections.abc import Sequence
from typing import Any, Final

from segments import lifecycle
from segments.computed import MOST_ITEMS
from segments.folds import State, earliest
from segments.tree import MICROS, EventValue
from segments.value_entries import Entry, Place
from segments.value_texts import divided, json_text, list_text, number_text, object_text, reduced, taken_text
from segments.values import distinct_key

_TRIM: Final = 2 * MOST_ITEMS


class ValueFold:
    """The fold of one `EventValue`, with a state per profile: a sorted list of entries, or what replaces it."""

    timed = False
    steady = False
    stays = False

    def __init__(self, taken: EventValue) -> None:
        self.taken = taken
        self.window = taken.within or 0

    def add(self, state: State, time: int, entry: Entry, now: int) -> State:
        """The state with one more value; may change `state` in place."""
        raise NotImplementedError

    def absorb(self, state: State, other: State) -> State:
        raise NotImplementedError

    def number(self, state: State, now: int) -> int | None:
        """The value of a number, in millionths; None: there is none."""
        raise NotImplementedError

    def value(self, state: State, now: int) -> str | None:
        """The value as JSON; None: there is none."""
        return number_text(self.number(state, now))

    def due(self, state: State, now: int) -> int | None:
        return None


class EntryRows(ValueFold):
    """Sorted entries: of a window, or the newest."""

    def __init__(self, taken: EventValue) -> None:
        super().__init__(taken)
        self.timed = taken.within is not None
        self.most = {"list": MOST_ITEMS, "last": 1}.get(taken.take)

    def add(self, state: State, time: int, entry: Entry, now: int) -> State:
        oldest = now - self.window if self.timed else -1
        if time <= oldest:
            return state
        if state is None:
            return [entry]
        if state[0][0][0] <= oldest:
            del state[: _after(state, oldest)]
        insort(state, entry, key=_place)
        return self._trimmed(state, now)

    def absorb(self, state: State, other: State) -> State:
        return sorted(state + other, key=_place)

    def number(self, state: State, now: int) -> int | None:
        return reduced(self.taken.take, [value for _, value in self._span(state, now)])

    def value(self, state: State, now: int) -> str | None:
        entries = self._span(state, now)
        return taken_text(self.taken, entries) if entries else None

    def due(self, state: State, now: int) -> int | None:
        end = _after(state, now)
        start = _after(state, now - self.window)
        leaving = state[start][0][0] + self.window if start < end else None
        return earliest(leaving, state[end][0][0] if end < len(state) else None)

    def _span(self, state: State, now: int) -> Sequence[Entry]:
        found: Sequence[Entry] = state[_after(state, now - self.window) : _after(state, now)] if self.timed else state
        return found

    def _trimmed(self, state: State, now: int) -> State:
        """What is older than the newest that matter never matters again: it leaves a window before them."""
        if self.most is not None and len(state) > self.most + _TRIM:
            end = _after(state, now) if self.timed else len(state)
            del state[: max(0, end - self.most)]
        return state


class ValueCount(ValueFold):
    """count of all events: an int."""

    def add(self, state: State, time: int, entry: Entry, now: int) -> State:
        return 1 if state is None else state + 1

    def absorb(self, state: State, other: State) -> State:
        return state + other

    def number(self, state: State, now: int) -> int | None:
        return int(state) * MICROS

    def value(self, state: State, now: int) -> str | None:
        return str(state)


class NumberSums(ValueFold):
    """sum, avg, min and max of all events: currency ("" for plain numbers) -> (sum, count, least, largest)."""

    def add(self, state: State, time: int, entry: Entry, now: int) -> State:
        currency, value = entry[1] if self.taken.by_currency else ("", entry[1])
        return self._joined({} if state is None else state, currency, (value, 1, value, value))

    def absorb(self, state: State, other: State) -> State:
        for currency, sums in other.items():
            self._joined(state, currency, sums)
        return state

    def number(self, state: State, now: int) -> int | None:
        return self._number(state[""])

    def value(self, state: State, now: int) -> str | None:
        if not self.taken.by_currency:
            return number_text(self.number(state, now))
        return object_text({currency: self._number(sums) for currency, sums in state.items()})

    def _number(self, sums: tuple[int, int, int, int]) -> int:
        match self.taken.take:
            case "sum":
                return sums[0]
            case "avg":
                return divided(sums[0], sums[1])
            case "min":
                return sums[2]
            case _:
                return sums[3]

    @staticmethod
    def _joined(state: dict[str, Any], currency: str, sums: tuple[int, int, int, int]) -> dict[str, Any]:
        known = state.get(currency)
        if known is not None:
            total, count, least, largest = known
            sums = total + sums[0], count + sums[1], min(least, sums[2]), max(largest, sums[3])
        state[currency] = sums
        return state


class EndValue(ValueFold):
    """first and last of all events: the entry."""

    def __init__(self, taken: EventValue) -> None:
        super().__init__(taken)
        self._is_first = taken.take == "first"

    def add(self, state: State, time: int, entry: Entry, now: int) -> State:
        return entry if state is None or (entry[0] < state[0]) == self._is_first else state

    def absorb(self, state: State, other: State) -> State:
        return self.add(state, 0, other, 0)

    def value(self, state: State, now: int) -> str | None:
        return json_text(state[1])


class UniqueValues(ValueFold):
    """unique of all events: value -> its latest entry, of the newest values, which mostly stand last."""

    def add(self, state: State, time: int, entry: Entry, now: int) -> State:
        return self._with({} if state is None else state, distinct_key(entry[1]), entry)

    def absorb(self, state: State, other: State) -> State:
        for key, entry in other.items():
            self._with(state, key, entry)
        return state

    def value(self, state: State, now: int) -> str | None:
        return list_text([value for _, value in sorted(state.values(), key=_place)[: -MOST_ITEMS - 1 : -1]])

    @staticmethod
    def _with(state: dict[Any, Entry], key: Any, entry: Entry) -> dict[Any, Entry]:
        known = state.get(key)
        if known is None or known[0] < entry[0]:
            state.pop(key, None)
            state[key] = entry
        if len(state) > MOST_ITEMS + _TRIM:  # an old value returns only with a newer event
            newest = sorted(state.items(), key=lambda item: item[1][0], reverse=True)[:MOST_ITEMS]
            state.clear()
            state.update(newest)
        return state


class FrequentValues(ValueFold):
    """most_frequent of all events: [value -> how often; the most, with its JSON text and value]. Counts only
    grow, so that the winner is known without a look at the others."""

    def add(self, state: State, time: int, entry: Entry, now: int) -> State:
        state = [{}, 0, "", None] if state is None else state
        self._count(state, entry[1] if type(entry[1]) is not bool else (entry[1],), 1)
        return state

    def absorb(self, state: State, other: State) -> State:
        for value, count in other[0].items():
            self._count(state, value, count)
        return state

    def value(self, state: State, now: int) -> str | None:
        return str(state[2])

    @staticmethod
    def _count(state: list[Any], value: Any, more: int) -> None:
        counts, most, _, winner = state
        count = counts[value] = counts.get(value, 0) + more
        if value == winner:
            state[1] = count
        elif count >= most:
            text = json_text(value[0] if type(value) is tuple else value)
            if count > most or text.encode() < state[2].encode():
                state[1:] = count, text, value


class OpenThings(ValueFold):
    """open: thing -> the place of its latest event, and whether it is open since."""

    def add(self, state: State, time: int, entry: Entry, now: int) -> State:
        return self._with({} if state is None else state, distinct_key(entry[1][0]), entry[0], entry[1][1])

    def absorb(self, state: State, other: State) -> State:
        for key, (place, is_open) in other.items():
            self._with(state, key, place, is_open)
        return state

    def number(self, state: State, now: int) -> int | None:
        return sum(is_open for _, is_open in state.values()) * MICROS or None

    @staticmethod
    def _with(state: dict[Any, Any], key: Any, place: Place, is_open: bool) -> dict[Any, Any]:
        known = state.get(key)
        if known is None or known[0] < place:
            state[key] = place, is_open
        return state


class EventDays(ValueFold):
    """usual_gap and lifecycle: the days with an event, as numbers (`segments.lifecycle`)."""

    def __init__(self, taken: EventValue) -> None:
        super().__init__(taken)
        self.timed = taken.take == "lifecycle"

    def add(self, state: State, time: int, entry: Entry, now: int) -> State:
        if state is None:
            return {entry[1]}
        state.add(entry[1])
        return state

    def absorb(self, state: State, other: State) -> State:
        return state | other

    def number(self, state: State, now: int) -> int | None:
        return lifecycle.usual_gap(lifecycle.gaps(sorted(state)), None)

    def value(self, state: State, now: int) -> str | None:
        if self.taken.take == "usual_gap":
            return number_text(self.number(state, now))
        stage = lifecycle.stage(sorted(state), lifecycle.day_of(now, self.taken.zone), self.taken.usual)
        return None if stage is None else json_text(stage)

    def due(self, state: State, now: int) -> int | None:
        today = lifecycle.day_of(now, self.taken.zone)
        day = lifecycle.next_day(sorted(state), today, self.taken.usual)
        return None if day is None else lifecycle.start_of(day, self.taken.zone)


def fold_for(taken: EventValue) -> ValueFold:  # noqa: PLR0911
    """The fold that keeps what is needed."""
    if taken.by_day:
        return EventDays(taken)
    if taken.take == "open":
        return OpenThings(taken)
    if taken.within is not None or taken.take == "list":
        return EntryRows(taken)
    match taken.take:
        case "count":
            return ValueCount(taken)
        case "first" | "last":
            return EndValue(taken)
        case "unique":
            return UniqueValues(taken)
        case "most_frequent":
            return FrequentValues(taken)
        case _:
            return NumberSums(taken)


def _place(entry: Entry) -> Place:
    return entry[0]


def _after(entries: Sequence[Entry], time: int) -> int:
    """The index after the entries of up to a time."""
    return bisect_right(entries, (time + 1, "", -1, "", -1), key=_place)
