"""The law of caches: nothing in memory but the identity graph is needed for an answer, and all of it is bounded."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_processors.host import box as box_host
from stream_processors.state import directory
from stream_processors.state.copies import Copies
from tests.properties.pipeline_life import Life
from tests.properties.pipeline_world import Box, MakeBox, Random, delivered, dump, law, make_door, make_events
from tests.properties.segments_world import SEEDS


@law()
@given(seed=SEEDS, batch=st.sampled_from((3, 20, 5_000)))
def test_emptied_caches_change_nothing(make_box: MakeBox, seed: int, batch: int) -> None:
    with make_box(batch=batch) as box:
        live(Random(seed), box)
        told = history(box)
    with make_box(batch=batch) as box, pytest.MonkeyPatch.context() as patch:
        patch.setattr(directory, "RECENT", 0)  # and full at once
        live(Random(seed), box, Random(seed + 1))
        assert history(box) == told


def history(box: Box) -> dict[str, Any]:
    """What a box holds and has told. Whom of a batch it told first is no promise: what is in memory comes first."""
    found: dict[str, Any] = dump(box, history=True)
    told: dict[str, list[dict[str, Any]]] = {}
    for one in json.loads(found.pop("told")):
        del one["off"]
        told.setdefault(one.pop("profile"), []).append(one)
    return found | {"told": told}


def live(r: Random, box: Box, emptying: Random | None = None) -> None:
    """A life, the same for the same `r`; with `emptying` the caches are emptied between its steps."""
    life = Life(r, box)
    for _ in range(6):
        life.something_happens()
        if emptying:
            forget_some(emptying, box)
        box.settle()


def forget_some(r: Random, box: Box) -> None:
    runs = box.runner.box
    if r.random() < 0.6:
        runs.forget_states()
    if r.random() < 0.6:
        runs.directory.forget()
    if r.random() < 0.6:
        _copies_of(box, capacity=1)  # made again from the table, as at every start
    if r.random() < 0.6:
        box.registry = type(box.registry)(box.log, box.clock)  # folded again from the topic


def _copies_of(box: Box, capacity: int) -> Copies:
    """The filter of ids, made again from the table as at every start."""
    copies = box.runner.box.copies
    copies.__init__(box.writer, None, capacity, lingering=True)  # type: ignore[misc]
    copies.load()
    return copies


@law()
@given(seed=SEEDS)
def test_the_filter_of_ids_grows_with_the_table_and_stays_right(make_box: MakeBox, seed: int) -> None:
    r = Random(seed)
    events = make_events(r, 120, 0, make_door())
    with make_box(batch=7) as box:
        seen = _copies_of(box, capacity=2)
        box.append(delivered(r, events))
        box.settle()
        [(unique, ids)] = box.writer.rows("SELECT countIf(dup = 0), (SELECT count() FROM ids) FROM log_rows FINAL")
        assert unique == ids
        assert seen.count == ids
        assert seen.filter_bytes == 2 * seen.capacity
        assert seen.capacity < 2 * ids


def test_what_was_seen_together_is_bounded(make_box: MakeBox) -> None:
    with recent_bound(5), make_box(batch=3) as box:
        for first in range(0, 60, 3):
            box.append(make_events(Random(first), 3, 0, make_door(), first=first, people=40))
            box.settle()
            assert box.runner.box.directory.remembered <= 5


@contextmanager
def recent_bound(bound: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(directory, "RECENT", bound)
        yield


def test_views_in_memory_are_bounded_while_all_profiles_are_looked_at(make_box: MakeBox) -> None:
    with make_box() as box, pytest.MonkeyPatch.context() as patch:
        box.append(make_events(Random(3), 100, box.clock(), make_door(), people=30))
        box.settle()
        patch.setattr(box_host, "_CHUNK", 5)
        box.runner.box.refresh(box.runner.box.live_profiles(), "time")
        assert box.recent.sizes == (0, 0, 7)
