"""Why a profile is, or is not, in a segment: the truth of each node of the rule, with its evidence. There are two
steps, since the caller runs the queries: `compile_why` makes one query per leaf, and `why_tree` combines the answers.
Leaves are named by JSON pointers into the rule; the leaves of a nested segment are below `…/segment` of the node that
names it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from schemas.order import NEWEST_FIRST
from segments import tree
from segments.computed import taken_of
from segments.readings import event_conditions
from segments.sql import Compiler, Query, Resolve, circle
from segments.tree import (
    All,
    Any_,
    Computation,
    Computed,
    Consent,
    EventLeaf,
    EventValue,
    Not,
    Rule,
    SegmentRef,
    Trait,
    children,
)

Leaf = tree.Leaf | Computed

_NAMED: Final = "source, JSONExtractString(payload, 'id') AS id, time, received_at, place, key"

EVIDENCE: Final = 10
"""The number of events shown as evidence, the newest first."""


def compile_why(rule: Rule, now_ms: int, profile: int, resolve: Resolve) -> list[tuple[str, Query]]:
    """One query per leaf. Each returns one row: `holds` (0 or 1) and the evidence. Event leaves add `events`, (source,
    id, time in ms) of the newest events that count, and `matched`, their number. Trait and consent leaves add `value`,
    the JSON text of the value or NULL.
    """
    return [(pointer, _leaf_query(leaf, now_ms, profile, resolve)) for pointer, leaf in _leaves(rule, "", resolve, ())]


def why_tree(rule: Rule, truths: Mapping[str, bool], evidence: Mapping[str, Any], resolve: Resolve) -> dict[str, Any]:
    """The nested answer: `node` as written, `holds`, and `children` or, for leaves, `evidence` if given.

    `truths` and `evidence` are keyed by the pointers of `compile_why`; every leaf must have a truth.
    """
    return _tree(rule, "", truths, evidence, resolve)


def _tree(
    rule: Rule, at: str, truths: Mapping[str, bool], evidence: Mapping[str, Any], resolve: Resolve
) -> dict[str, Any]:
    below = [_tree(child, f"{at}{step}", truths, evidence, resolve) for step, child in _below(rule, resolve)]
    held = [child["holds"] for child in below]
    answer: dict[str, Any] = {"node": dict(rule.written)}
    match rule:
        case All():
            return answer | {"holds": all(held), "children": below}
        case Any_():
            return answer | {"holds": any(held), "children": below}
        case Not():
            return answer | {"holds": not held[0], "children": below}
        case SegmentRef():
            return answer | {"holds": held[0], "children": below}
        case _:
            shown = {"evidence": evidence[at]} if at in evidence else {}
            return answer | {"holds": truths[at]} | shown


def _below(rule: Rule, resolve: Resolve) -> tuple[tuple[str, Rule], ...]:
    if isinstance(rule, SegmentRef):
        return (("/segment", resolve(rule.segment)),)
    return children(rule)


def _leaves(rule: Rule, at: str, resolve: Resolve, inside: tuple[str, ...]) -> Iterator[tuple[str, Leaf]]:
    match rule:
        case All() | Any_() | Not():
            for step, child in children(rule):
                yield from _leaves(child, f"{at}{step}", resolve, inside)
        case SegmentRef(segment=segment):
            if segment in inside:
                raise circle()
            yield from _leaves(resolve(segment), f"{at}/segment", resolve, (*inside, segment))
        case leaf:
            yield at, leaf


def _leaf_query(leaf: Leaf, now_ms: int, profile: int, resolve: Resolve) -> Query:
    compiler = Compiler(now_ms, resolve, [profile])
    holds = f"toUInt8((SELECT count() FROM ({compiler.members(leaf)})))"
    columns = [f"{holds} AS holds"]
    match leaf:
        case EventLeaf():
            columns += _counted(compiler, [leaf], now_ms)
        case Computed(computation=computation):
            columns += _computed(compiler, computation, now_ms)
        case Trait(path=path):
            columns.append(f"({compiler.latest_value('trait', path)}) AS value")
        case Consent(purpose=purpose):
            columns.append(f"({compiler.latest_value('consent', (purpose,))}) AS value")
        case _:
            pass
    return compiler.query(f"SELECT {', '.join(columns)}")


def compile_why_value(computation: Computation, now_ms: int, profile: int, resolve: Resolve) -> Query:
    """One row: the `value` of a bound computed trait for one profile, as JSON text or NULL, and as of an event leaf the
    `events` that it is taken of; without them where it is made of rules.
    """
    compiler = Compiler(now_ms, resolve, [profile])
    return compiler.query(f"SELECT {', '.join(_computed(compiler, computation, now_ms))}")


def _computed(compiler: Compiler, computation: Computation, now_ms: int) -> list[str]:
    value = f"(SELECT nullIf(any(made[1]), '') FROM ({compiler.values([computation])})) AS value"
    taken = taken_of(computation)
    return [value, *(_counted(compiler, taken, now_ms) if taken else ())]


def _counted(compiler: Compiler, leaves: Sequence[EventLeaf | EventValue], now_ms: int) -> list[str]:
    """The newest events that count for any of these, and how many do."""
    conditions = (" AND ".join(event_conditions(compiler.binder, leaf, now_ms)) for leaf in leaves)
    rows = compiler.rows("counted", _NAMED, " OR ".join(f"({one})" for one in conditions))
    newest = f"SELECT source, id, time FROM ({rows}) ORDER BY {NEWEST_FIRST} LIMIT {EVIDENCE}"
    return [
        f"(SELECT groupArray((source, id, toUnixTimestamp64Milli(time))) FROM ({newest})) AS events",
        f"(SELECT count() FROM ({rows})) AS matched",
    ]
