"""The size of a rule, including the rules of the segments that it names, and its limits.

Within the limits the engine answers in seconds (`tests/unit/test_segments_size.py` tries each of them). A leaf costs it
some 10 ms before it reads a row, a test some 3 ms.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from segments.computed import rules_of, taken_of
from segments.sql import Resolve, circle, too_large
from segments.tree import (
    AnyItem,
    Computed,
    Condition,
    EventLeaf,
    IdentityLeaf,
    Rule,
    Scalar,
    SegmentRef,
    ValueTest,
    children,
)

MAX_NODES: Final = 300
MAX_TESTS: Final = 500
MAX_LEVELS: Final = 64
MAX_TEXT: Final = 1_000_000
"""Characters of all texts that values are compared with."""


class Size(NamedTuple):
    nodes: int
    tests: int
    levels: int
    text: int


def check_size(rule: Rule, resolve: Resolve) -> None:
    """Raises `InvalidRule` (code `rule_too_large`) over a limit, or if a segment contains itself."""
    nodes, tests, levels, text = size_of(rule, resolve)
    nested = ", with the segments that it names"
    if nodes > MAX_NODES:
        raise too_large(f"at most {MAX_NODES} nodes{nested}", str(nodes))
    if tests > MAX_TESTS:
        raise too_large(f"at most {MAX_TESTS} tests{nested}", str(tests))
    if levels > MAX_LEVELS:
        raise too_large(f"at most {MAX_LEVELS} levels{nested}", str(levels))
    if text > MAX_TEXT:
        raise too_large(f"at most {MAX_TEXT} characters to compare with{nested}", str(text))


def size_of(rule: Rule, resolve: Resolve) -> Size:
    """The size with all nested segments. Raises `InvalidRule` if one contains itself."""
    return _Sizes(resolve).of(rule)


class _Sizes:
    """Measures each segment once, however often it is named."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._known: dict[str, Size] = {}
        self._inside: list[str] = []

    def of(self, rule: Rule) -> Size:
        if isinstance(rule, SegmentRef):
            below = [self._segment(rule.segment)]
        elif isinstance(rule, Computed):
            below = [self.of(one) for one in rules_of(rule.computation)]
        else:
            below = [self.of(child) for _, child in children(rule)]
        tests = _tests(rule)
        return Size(
            1 + sum(one.nodes for one in below),
            len(tests) + sum(one.tests for one in below),
            1 + max((one.levels for one in below), default=0),
            sum(map(_text, tests)) + sum(one.text for one in below),
        )

    def _segment(self, name: str) -> Size:
        if name in self._inside:
            raise circle()
        if name not in self._known:
            self._inside.append(name)
            self._known[name] = self.of(self._resolve(name))
            self._inside.pop()
        return self._known[name]


def _tests(rule: Rule) -> Sequence[object]:
    """The number of tests of a leaf; one if it only tests that something exists."""
    match rule:
        case EventLeaf(where=where, tests=tests):
            return [*_where_tests(where), *tests]
        case IdentityLeaf():
            return [None]
        case Computed(tests=tests, computation=computation):
            return [*tests, *(test for taken in taken_of(computation) for test in _where_tests(taken.where))]
        case _:
            return getattr(rule, "tests", ())


def _where_tests(where: Sequence[Condition]) -> list[object]:
    found: list[object] = []
    for condition in where:
        found += _where_tests(condition.where) if isinstance(condition, AnyItem) else condition.tests
    return found


def _text(test: object) -> int:
    if not isinstance(test, ValueTest):
        return 0
    operands: Sequence[Scalar] = test.operand if isinstance(test.operand, tuple) else (test.operand,)
    return sum(len(one) for one in operands if isinstance(one, str))
