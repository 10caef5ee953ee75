"""Why a profile is, or is not, in a segment: the truth of each node of the rule, with its evidence. There are two
steps, since the caller runs the queries: `compile_why` makes one query per leaf, and `why_tree` combines the answers.
Leaves are named by JSON pointers into the rule; the leaves of a nested segment are below `…/segment` of the node that
names it.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from schemas.order import NEWEST_FIRST
from segments.readings import event_conditions
from segments.sql import Compiler, Query, Resolve, circle
from segments.tree import (
    All,
    Any_,
    Consent,
    EventLeaf,
    Leaf,
    Not,
    Rule,
    SegmentRef,
    Trait,
    children,
)

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
            rows = compiler.rows("counted", _NAMED, " AND ".join(event_conditions(compiler.binder, leaf, now_ms)))
            newest = f"SELECT source, id, time FROM ({rows}) ORDER BY {NEWEST_FIRST} LIMIT {EVIDENCE}"
            columns.append(f"(SELECT groupArray((source, id, toUnixTimestamp64Milli(time))) FROM ({newest})) AS events")
            columns.append(f"(SELECT count() FROM ({rows})) AS matched")
        case Trait(path=path):
            columns.append(f"({compiler.latest_value('trait', path)}) AS value")
        case Consent(purpose=purpose):
            columns.append(f"({compiler.latest_value('consent', (purpose,))}) AS value")
        case _:
            pass
    return compiler.query(f"SELECT {', '.join(columns)}")
