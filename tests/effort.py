"""How much is tried: few examples and cases in `make test`, many in `make soak`."""

import os
from collections.abc import Sequence
from typing import Any, Final, TypeVar

import pytest

EFFORT: Final = int(os.environ.get("EFFORT", "1"))

Case = TypeVar("Case")


def examples(number: int) -> int:
    """So many in `make test`; `EFFORT` times as many where that is set."""
    return number * EFFORT


def each(nth: int, cases: Sequence[Case]) -> Sequence[Case]:
    """Each nth of these in `make test`, all of them where `EFFORT` is set."""
    return cases if EFFORT > 1 else cases[::nth]


def few(chosen: Sequence[Case], cases: Sequence[Case]) -> list[Any]:
    """Parameters of a test, one for each case: the chosen ones run in `make test`, the others in the soak."""
    return [pytest.param(case, marks=[] if case in chosen else [pytest.mark.soak]) for case in cases]
