"""Computed traits: what a profile's events, or rules about it, make of a trait. The syntax tree, and reading it.

    {"event": "order.completed", "take": "sum", "of": "revenue", "within": "90d", "where": […]}
    {"ratio": [<one of these>, <one of these>]}
    {"add": [<of events>, …], "subtract": [<of events>, …]}
    {"cases": [{"when": <rule>, "value": "gold"}, …], "otherwise": "none"}

Rules see a computed trait as any trait. `bound` puts its computation into the leaves that read it, for the SQL back
end; the live back end computes each trait before what reads it.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from schemas.errors import InvalidRule
from segments.operands import kind_of, members, only, text, wrong
from segments.rule import event_type, parse_rule, property_path, span, wheres
from segments.tree import (
    MONEY,
    All,
    Any_,
    Balance,
    Cases,
    Computation,
    Computed,
    EventValue,
    Not,
    Ratio,
    Rule,
    Scalar,
    SegmentRef,
    Take,
    Trait,
    nodes,
)

TAKES: Final[tuple[Take, ...]] = get_args(Take)
NUMBERS: Final = frozenset({"count", "sum", "avg", "min", "max"})
"""What is taken as one number, of which a ratio may be made."""

MOST_ITEMS: Final = 100
"""In a `list` or `unique`: the newest."""
MOST_TEXT: Final = 500
"""Characters of a value that is taken as it is; longer ones are not taken."""
MOST_TYPES: Final = 20
MOST_CASES: Final = 20
MOST_LEVELS: Final = 8
"""Computed traits and segments that may stand upon each other."""

_OF_EVENT: Final[Mapping[str, tuple[str, ...]]] = {
    "$money": MONEY,
    "$time": ("time",),
    "$channel": ("channel",),
    "$type": ("type",),
    "$hour": ("hour",),
    "$weekday": ("weekday",),
}

_WRITE: Final = 'write a computation such as {"event": …, "take": …}'

_PREFIX: Final = "trait:"
"""No segment's id has a colon, so that segments and traits can stand in one order."""


def unit(trait: str) -> str:
    """The name of a computed trait among segments and traits."""
    return _PREFIX + trait


def trait_of(unit: str) -> str | None:
    """The computed trait that a name stands for; None: it is a segment's."""
    return unit.removeprefix(_PREFIX) if unit.startswith(_PREFIX) else None


def rules_of(computation: Computation) -> tuple[Rule, ...]:
    return computation.rules if isinstance(computation, Cases) else ()


def taken_of(computation: Computation) -> tuple[EventValue, ...]:
    match computation:
        case EventValue():
            return (computation,)
        case Ratio(above=above, below=below):
            return (above, below)
        case Balance(add=add, subtract=subtract):
            return (*add, *subtract)
        case _:
            return ()


def units_of(what: Rule | Computation) -> frozenset[str]:
    """The segments that it names, and the traits that it reads, whether computed or not, by their `unit`."""
    found: set[str] = set()
    for rule in rules_of(what) if isinstance(what, Computation) else (what,):
        for node in nodes(rule):
            if isinstance(node, SegmentRef):
                found.add(node.segment)
            elif isinstance(node, Trait):
                found.add(unit(node.path[0]))
    return frozenset(found)


def bound(rule: Rule, computed: Callable[[str], Computation | None]) -> Rule:
    """The rule with the computations of the traits that it reads, and of those that these read.

    Raises `InvalidRule` if a trait stands on itself, or too many on each other.
    """
    return _Binding(computed).rule(rule)


def bound_computation(
    name: str, computation: Computation, computed: Callable[[str], Computation | None]
) -> Computation:
    """The same of the computed trait of this name."""
    return _Binding(computed, (name,)).computation(computation)


class _Binding:
    def __init__(self, computed: Callable[[str], Computation | None], inside: tuple[str, ...] = ()) -> None:
        self._computed = computed
        self._inside = inside

    def rule(self, rule: Rule) -> Rule:
        match rule:
            case All(children=below) | Any_(children=below):
                return replace(rule, children=tuple(self.rule(child) for child in below))
            case Not(child=child):
                return replace(rule, child=self.rule(child))
            case Trait(path=path) if (computation := self._computed(path[0])) is not None:
                made = self._below(path[0], computation)
                return Computed(path, rule.tests, made, written=rule.written)
            case _:
                return rule

    def computation(self, computation: Computation) -> Computation:
        if isinstance(computation, Cases):
            return replace(computation, rules=tuple(map(self.rule, computation.rules)))
        return computation

    def _below(self, name: str, computation: Computation) -> Computation:
        if name in self._inside:
            raise ring()
        if len(self._inside) >= MOST_LEVELS:
            raise too_deep()
        return _Binding(self._computed, (*self._inside, name)).computation(computation)


def ring() -> InvalidRule:
    return InvalidRule(
        "rule: wanted traits and segments that do not depend on themselves, got a circle; remove one reference",
        code="segment_cycle",
    )


def too_deep() -> InvalidRule:
    return InvalidRule(
        f"rule: wanted at most {MOST_LEVELS} computed traits and segments in a chain, got more; ask for less in one",
        code="rule_too_large",
    )


# ---- reading


def parse_computation(obj: object) -> Computation:
    """Check the `compute` of a trait as decoded from JSON. Raises `InvalidRule` with the JSON pointer of the fault."""
    return _computation(obj, "")


def _computation(obj: object, at: str) -> Computation:
    written = members(obj, at, _WRITE)
    return _READERS[kind_of(written, _READERS, at, "write one computation")](written, at)


def _taken(written: dict[str, Any], at: str) -> EventValue:
    take: Take = written.get("take", "count")
    if take not in TAKES:
        wrong(f"{at}/take", f"one of {', '.join(TAKES)}", "name one of them", take)
    more = {"open": ("opens",), "usual_gap": ("zone",), "lifecycle": ("zone",)}.get(take, ("within", "between", "zone"))
    only(written, ("event", "take", "of", "where", *more), at)
    within, between = span(written, at)
    types = _types(written["event"], f"{at}/event")
    return EventValue(
        types=types,
        where=wheres(written.get("where", []), f"{at}/where"),
        take=take,
        of=_of(written, take, at),
        within=within,
        between=between,
        opens=_opens(written, types, at) if take == "open" else (),
        zone=_zone(written.get("zone", "UTC"), f"{at}/zone"),
    )


def _opens(written: dict[str, Any], types: tuple[str, ...], at: str) -> tuple[str, ...]:
    opens = _types(written.get("opens"), f"{at}/opens")
    if not set(opens) < set(types):
        wrong(f"{at}/opens", "some of the types in `event`", "name those after which it is open", got="others, or all")
    return opens


def _zone(value: object, at: str) -> str:
    name = text(value, at)
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        wrong(at, "the IANA name of a time zone", "write one such as Asia/Tehran", got="another text")
    return name


def _types(value: object, at: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        return (event_type(value, at),)
    if not 0 < len(value) <= MOST_TYPES:
        wrong(at, f"an event type, or a list of 1 to {MOST_TYPES}", "name at least one", value)
    return tuple(dict.fromkeys(event_type(one, f"{at}/{i}") for i, one in enumerate(value)))


def _of(written: dict[str, Any], take: Take, at: str) -> tuple[str, ...] | None:
    if take in ("count", "usual_gap", "lifecycle"):
        if "of" in written:
            wrong(f"{at}/of", "`of` with another `take`", "remove it", got=f"it beside `{take}`")
        return None
    if "of" not in written:
        wrong(at, f"`of` beside `{take}`", 'name the property, such as "of": "revenue"', got="none")
    named = text(written["of"], f"{at}/of")
    if named.startswith("$"):
        path = _OF_EVENT.get(named)
        if path is None:
            wrong(f"{at}/of", f"a property or one of {', '.join(_OF_EVENT)}", "name one of them", named)
        if take == "open" or (path == MONEY) != (take in NUMBERS):
            wrong(f"{at}/of", "`$money` with sum, avg, min or max, the others without", "take another", got=take)
        return path
    return property_path(named, f"{at}/of")


def _ratio(written: dict[str, Any], at: str) -> Ratio:
    only(written, ("ratio",), at)
    pair = written["ratio"]
    if not isinstance(pair, list) or len(pair) != 2:
        wrong(f"{at}/ratio", "a list of two computations", "write [above, below]", pair)
    above, below = (_number(one, f"{at}/ratio/{i}") for i, one in enumerate(pair))
    return Ratio(above, below)


def _balance(written: dict[str, Any], at: str) -> Balance:
    only(written, ("add", "subtract"), at)
    return Balance(_numbers(written["add"], f"{at}/add"), _numbers(written.get("subtract", []), f"{at}/subtract"))


def _numbers(listed: object, at: str) -> tuple[EventValue, ...]:
    if not isinstance(listed, list) or len(listed) > MOST_TYPES:
        wrong(at, f"a list of at most {MOST_TYPES} computations", "write [<computation>]", listed)
    return tuple(_number(one, f"{at}/{i}") for i, one in enumerate(listed))


def _number(obj: object, at: str) -> EventValue:
    found = _computation(obj, at)
    if not isinstance(found, EventValue) or found.take not in NUMBERS or found.by_currency:
        wrong(at, f"a computation of one number ({', '.join(sorted(NUMBERS))})", "divide numbers", got="another")
    return found


def _cases(written: dict[str, Any], at: str) -> Cases:
    only(written, ("cases", "otherwise"), at)
    listed = written["cases"]
    if not isinstance(listed, list) or not 0 < len(listed) <= MOST_CASES:
        wrong(f"{at}/cases", f"a list of 1 to {MOST_CASES} cases", 'write [{"when": <rule>, "value": "…"}]', listed)
    rules, values = [], []
    for i, one in enumerate(listed):
        here = f"{at}/cases/{i}"
        case = members(one, here, _WRITE)
        only(case, ("when", "value"), here)
        if len(case) != 2:
            wrong(here, "`when` and `value`", "write both", got=f"{len(case)} of them")
        rules.append(_rule(case["when"], f"{here}/when"))
        values.append(_value(case["value"], f"{here}/value"))
    otherwise = written.get("otherwise")
    return Cases(tuple(rules), tuple(values), None if otherwise is None else _value(otherwise, f"{at}/otherwise"))


def _rule(obj: object, at: str) -> Rule:
    try:
        return parse_rule(obj)
    except InvalidRule as error:
        error.path = f"{at}{error.path}"
        raise


def _value(value: object, at: str) -> Scalar:
    if isinstance(value, str):
        return text(value, at)
    if not isinstance(value, int) or abs(value) >= 2**53:
        wrong(at, "a text, a whole number, true or false", "give one", value)
    return value


_READERS: Final[Mapping[str, Callable[[dict[str, Any], str], Computation]]] = {
    "event": _taken,
    "ratio": _ratio,
    "add": _balance,
    "cases": _cases,
}
