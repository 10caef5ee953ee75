"""The state of one event leaf for one profile: it keeps enough of the events for an exact truth at any later instant.

A fold adds events in any order and absorbs the state of another profile (merge); the outcome depends on the set of
events only. Windowed folds keep rows and drop those that can no longer matter while adding. So do not ask about an
instant before the latest `now` given to `add`. States are plain Python values, owned by their profile; no state (None)
means no event. Truth without a state is `empty`.
"""

from abc import ABC, abstractmethod
from bisect import bisect_right, insort
from collections.abc import Callable
from typing import Any, Final

from segments.tree import EventLeaf, NumberTest, compare, holds_for

State = Any
"""int, list, tuple, set or dict, depending on the fold."""

_EVERYTHING: Final = 10**9
_ABOVE: Final = 10**60  # above every value that is folded, for bisecting (time, value) rows
_SLACK: Final = 16

_GROWS: Final = {"count": "up", "sum": "up", "distinct": "up", "max": "up", "min": "down", "days_since_last": "down"}
"""The direction in which an aggregate moves with one more event; a sum, with one without a negative value."""


class Fold(ABC):
    """The fold of one leaf, with a state per profile."""

    timed = False
    """Whether truth may change by the passing of time alone."""

    steady = False
    """Whether the leaf only ever asks for "at least": see `settled`."""

    def __init__(self, leaf: EventLeaf) -> None:
        self.passes = number_check(leaf.tests)
        self.tests = leaf.tests
        self.window = leaf.within or 0
        counts_nothing = leaf.aggregate in ("count", "sum", "distinct")
        self.empty = counts_nothing and holds_for(leaf.tests, 0)
        self.stays = self._stays(_GROWS.get(leaf.aggregate))
        """Whether an event of up to now leaves a true leaf true, and only postpones its due moment."""

    def _stays(self, way: str | None) -> bool:
        wanted = {"up": ("gte", "gt"), "down": ("lte", "lt")}.get(way or "", ())
        return all(test.op in wanted for test in self.tests)

    @abstractmethod
    def add(self, state: State, time: int, value: Any, now: int) -> State:
        """The state with one more event; may change `state` in place. None: there is still no state."""

    @abstractmethod
    def absorb(self, state: State, other: State) -> State:
        """The state of both sets of events; takes both over."""

    @abstractmethod
    def holds(self, state: State, now: int) -> bool:
        """The leaf's truth."""

    def settled(self, state: State, now: int) -> bool:
        """Whether the events added since an earlier `due`, which did not change the truth, only postpone it."""
        return False

    def due(self, state: State, now: int) -> int | None:
        """The earliest instant after `now` at which truth may change without an event; may be early, never
        late.
        """
        return None


class Counter(Fold):
    """count of all events: an int."""

    def add(self, state: State, time: int, value: Any, now: int) -> State:
        return 1 if state is None else state + 1

    def absorb(self, state: State, other: State) -> State:
        return state + other

    def holds(self, state: State, now: int) -> bool:
        return self.passes(state)


class Total(Fold):
    """sum and avg of all events: (sum, count)."""

    def __init__(self, leaf: EventLeaf) -> None:
        super().__init__(leaf)
        self.average = leaf.aggregate == "avg"

    def add(self, state: State, time: int, value: Any, now: int) -> State:
        return (value, 1) if state is None else (state[0] + value, state[1] + 1)

    def absorb(self, state: State, other: State) -> State:
        return state[0] + other[0], state[1] + other[1]

    def holds(self, state: State, now: int) -> bool:
        return average_passes(self.tests, *state) if self.average else self.passes(state[0])


class Extreme(Fold):
    """min and max of all events: an int."""

    def __init__(self, leaf: EventLeaf) -> None:
        super().__init__(leaf)
        self.best: Callable[[int, int], int] = max if leaf.aggregate in ("max", "days_since_last") else min

    def add(self, state: State, time: int, value: Any, now: int) -> State:
        return value if state is None else self.best(state, value)

    def absorb(self, state: State, other: State) -> State:
        return self.best(state, other)

    def holds(self, state: State, now: int) -> bool:
        return self.passes(state)


class Since(Extreme):
    """days_since_last and days_since_first of all events: the event's time."""

    timed = True

    def add(self, state: State, time: int, value: Any, now: int) -> State:
        return time if state is None else self.best(state, time)

    def holds(self, state: State, now: int) -> bool:
        return self.passes(now - state)

    def due(self, state: State, now: int) -> int | None:
        return age_due(self.tests, state, now)


class Distinct(Fold):
    """distinct values of all events: a set."""

    def add(self, state: State, time: int, value: Any, now: int) -> State:
        if state is None:
            return {value}
        state.add(value)
        return state

    def absorb(self, state: State, other: State) -> State:
        return state | other

    def holds(self, state: State, now: int) -> bool:
        return self.passes(len(state))


class WindowCount(Fold):
    """count within: the sorted times of the newest events, one more than the largest operand, and of all
    after now.
    """

    timed = True

    def __init__(self, leaf: EventLeaf) -> None:
        super().__init__(leaf)
        self.keep = max(0, *(test.operand for test in leaf.tests)) + 1
        self.steady = len(leaf.tests) == 1 and leaf.tests[0].op == "gte"

    def add(self, state: State, time: int, value: Any, now: int) -> State:
        return add_time(state, time, now, self.window, self.keep)

    def absorb(self, state: State, other: State) -> State:
        return sorted(state + other)

    def holds(self, state: State, now: int) -> bool:
        return self.passes(bisect_right(state, now) - bisect_right(state, now - self.window))

    def settled(self, state: State, now: int) -> bool:
        return self.steady and state[-1] <= now

    def due(self, state: State, now: int) -> int | None:
        start, end = bisect_right(state, now - self.window), bisect_right(state, now)
        truth = self.passes(end - start)
        for left, index in enumerate(range(start, end), start=1):
            if self.passes(end - start - left) != truth:
                return earliest(state[index] + self.window, next_after(state, end))
        return next_after(state, end)


class WindowSince(Fold):
    """days_since_last and days_since_first within: sorted times."""

    timed = True

    def __init__(self, leaf: EventLeaf) -> None:
        super().__init__(leaf)
        self.last = leaf.aggregate == "days_since_last"

    def add(self, state: State, time: int, value: Any, now: int) -> State:
        return add_time(state, time, now, self.window, 1 if self.last else _EVERYTHING)

    def absorb(self, state: State, other: State) -> State:
        return sorted(state + other)

    def holds(self, state: State, now: int) -> bool:
        start, end = bisect_right(state, now - self.window), bisect_right(state, now)
        return start < end and self.passes(now - state[end - 1 if self.last else start])

    def due(self, state: State, now: int) -> int | None:
        start, end = bisect_right(state, now - self.window), bisect_right(state, now)
        coming = next_after(state, end)
        if start == end:
            return coming
        decisive = state[end - 1 if self.last else start]
        return earliest(coming, earliest(decisive + self.window, age_due(self.tests, decisive, now)))


class WindowNumbers(Fold):
    """sum, avg, min and max within: sorted (time, value)."""

    timed = True

    def __init__(self, leaf: EventLeaf) -> None:
        super().__init__(leaf)
        self.aggregate = leaf.aggregate

    def add(self, state: State, time: int, value: Any, now: int) -> State:
        oldest = now - self.window
        if time <= oldest:
            return state
        if state is None:
            return [(time, value)]
        if state[0][0] <= oldest:
            del state[: bisect_right(state, (oldest, _ABOVE))]
        insort(state, (time, value))
        return state

    def absorb(self, state: State, other: State) -> State:
        return sorted(state + other)

    def holds(self, state: State, now: int) -> bool:
        start, end = self._span(state, now)
        values = [value for _, value in state[start:end]]
        match self.aggregate:
            case "sum":
                return self.passes(sum(values))
            case "avg":
                return average_passes(self.tests, sum(values), len(values))
            case "min":
                return bool(values) and self.passes(min(values))
            case _:
                return bool(values) and self.passes(max(values))

    def due(self, state: State, now: int) -> int | None:
        start, end = self._span(state, now)
        leaving = state[start][0] + self.window if start < end else None
        return earliest(leaving, state[end][0] if end < len(state) else None)

    def _span(self, state: State, now: int) -> tuple[int, int]:
        return bisect_right(state, (now - self.window, _ABOVE)), bisect_right(state, (now, _ABOVE))


class WindowDistinct(Fold):
    """distinct within: value -> sorted times, the newest and all after now."""

    timed = True

    def add(self, state: State, time: int, value: Any, now: int) -> State:
        if time <= now - self.window:
            return state
        state = {} if state is None else state
        state[value] = add_time(state.get(value), time, now, self.window, 1)
        if len(state) % 64 == 0:
            self._forget(state, now)
        return state

    def absorb(self, state: State, other: State) -> State:
        for value, times in other.items():
            state[value] = sorted(state.get(value, []) + times)
        return state

    def holds(self, state: State, now: int) -> bool:
        oldest = now - self.window
        return self.passes(sum(bisect_right(t, now) > bisect_right(t, oldest) for t in state.values()))

    def due(self, state: State, now: int) -> int | None:
        due: int | None = None
        for times in state.values():
            end = bisect_right(times, now)
            if end and times[end - 1] > now - self.window:
                due = earliest(due, times[end - 1] + self.window)
            due = earliest(due, next_after(times, end))
        return due

    def _forget(self, state: State, now: int) -> None:
        for value in [value for value, times in state.items() if times[-1] <= now - self.window]:
            del state[value]


def fold_for(leaf: EventLeaf) -> Fold:
    """The fold that keeps what the leaf needs."""
    windowed = leaf.within is not None
    match leaf.aggregate:
        case "count":
            return WindowCount(leaf) if windowed else Counter(leaf)
        case "distinct":
            return WindowDistinct(leaf) if windowed else Distinct(leaf)
        case "days_since_last" | "days_since_first":
            return WindowSince(leaf) if windowed else Since(leaf)
        case "sum" | "avg":
            return WindowNumbers(leaf) if windowed else Total(leaf)
        case "min" | "max":
            return WindowNumbers(leaf) if windowed else Extreme(leaf)


def add_time(times: list[int] | None, time: int, now: int, window: int, keep: int) -> list[int] | None:
    """Put a time into a sorted list that keeps, of those up to now, only what is in the window and `keep`
    newest.
    """
    if time <= now - window:
        return times
    if times is None:
        return [time]
    if time >= times[-1]:
        times.append(time)
    else:
        insort(times, time)
    if len(times) > 2 * keep + _SLACK or times[0] <= now - window:
        start, end = bisect_right(times, now - window), bisect_right(times, now)
        del times[: max(start, end - keep)]
    return times


def number_check(tests: tuple[NumberTest, ...]) -> Callable[[int], bool]:
    """All tests as one function; the most frequent one, a single lower bound, is a plain comparison."""
    if len(tests) == 1 and tests[0].op == "gte":
        return tests[0].operand.__le__
    return lambda value: holds_for(tests, value)


def average_passes(tests: tuple[NumberTest, ...], total: int, count: int) -> bool:
    """Compares the sum with operand × count, so that nothing is rounded; no value, no truth."""
    return count > 0 and all(compare(test.op, total, test.operand * count) for test in tests)


def age_due(tests: tuple[NumberTest, ...], since: int, now: int) -> int | None:
    """The next moment at which `now - since` reaches or passes an operand."""
    moments = (since + test.operand + step for test in tests for step in (0, 1))
    return min((moment for moment in moments if moment > now), default=None)


def next_after(times: list[int], index: int) -> int | None:
    return times[index] if index < len(times) else None


def earliest(a: int | None, b: int | None) -> int | None:
    if a is None or b is None:
        return b if a is None else a
    return min(a, b)
