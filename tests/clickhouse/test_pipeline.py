"""The laws of the pipeline once more, over HTTP: a few examples each, since the engine is the same."""

from collections.abc import Callable
from inspect import signature
from typing import Any

import pytest

from stream_processors.checkpoints import CHECKPOINTS
from tests.properties import (
    test_pipeline_crash,
    test_pipeline_order,
    test_pipeline_poison,
    test_pipeline_replay,
    test_pipeline_segments,
)
from tests.properties.pipeline_world import CAPPED, MakeBox
from tests.properties.segments_world import DAY

LAWS: tuple[tuple[Any, dict[str, Any]], ...] = (
    (
        test_pipeline_order.test_any_delivery_gives_the_same_state,
        {"seed": 1, "rules": CAPPED, "partitions": 2, "batch": 7, "cached": 2},
    ),
    (
        test_pipeline_crash.test_crashes_change_nothing,
        {"seed": 3, "plan": [(CHECKPOINTS[0], 1)], "batch": 4, "rebuild": False},
    ),
    (test_pipeline_poison.test_cut_and_flipped_bytes, {"seed": 4, "raw": [b"\x00", b"{"]}),
    (test_pipeline_replay.test_replay_equals_live, {"seed": 5, "batch": 20}),
    (test_pipeline_replay.test_merge_and_split_equal_never_merged, {"seed": 6, "passes": DAY}),
    (test_pipeline_segments.test_told_equals_full, {"seed": 7, "batch": 20, "cached": 2}),
)


SOAK = (test_pipeline_replay.test_replay_equals_live, test_pipeline_replay.test_merge_and_split_equal_never_merged)


@pytest.mark.parametrize(
    ("law", "example"),
    [pytest.param(*case, marks=[pytest.mark.soak] if case[0] in SOAK else []) for case in LAWS],
)
def test_a_law_holds_on_a_server(make_server_box: MakeBox, law: Any, example: dict[str, Any]) -> None:
    play(law, make_server_box, example)


@pytest.mark.parametrize(("law", "example"), [LAWS[0], LAWS[-1]])
def test_a_law_holds_on_distributed_tables(make_cluster_box: MakeBox, law: Any, example: dict[str, Any]) -> None:
    play(law, make_cluster_box, example)


def play(law: Any, make: MakeBox, example: dict[str, Any]) -> None:
    """One example. Most laws hold on a house of either size; that of crashes is a box's."""
    inner: Callable[..., None] = law.hypothesis.inner_test
    house = next(name for name in signature(inner).parameters if name.startswith("make_"))
    inner(**{house: make}, **example)
