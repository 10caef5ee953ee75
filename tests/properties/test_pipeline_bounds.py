"""The law of bounds: what a view shows at most is a function of the set of events, and rules answer as without it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.door import Verdict
from producers.incoming import ClaimedAt, Incoming, Traits
from registry.models import Source
from stream_processors.rows import events as project
from stream_processors.state import bounds, states
from stream_processors.state import cold as coldload
from stream_processors.state.bounds import Written
from tests.properties.installation import House, MakeHouse
from tests.properties.pipeline_world import (
    FREE,
    LINGERS,
    MakeBox,
    Random,
    chunks,
    delivered,
    dump,
    law,
    make_door,
)
from tests.properties.segments_world import DAY, SEEDS, T0

SHOP = Source(id="shop")
RULES = {
    "first": {"trait": "t00", "exists": True},
    "sized": {"trait": "t03", "gte": 2},
    "without": {"not": {"trait": "t05", "exists": True}},
    "agreed": {"consent": "c1", "eq": True},
}


@contextmanager
def narrow(**most: int) -> Iterator[None]:
    """Bounds that a few events reach."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in most.items():
            for module in (bounds, coldload, project, states):
                if hasattr(module, name):
                    patch.setattr(module, name, value)
        yield


def writes(r: Random, number: int, people: int = 3) -> list[Verdict]:
    """Traits and consent of a few people, written and removed; sometimes two are seen together."""
    door = make_door(FREE)
    made = []
    for n in range(number):
        person = f"u{r.randrange(people)}"
        also = [("email", f"{r.choice('ab')}@example.com")] if r.random() < 0.4 else []
        names = r.sample(range(12), r.randint(1, 4))
        incoming = Incoming(
            type="profile.identified",
            id=f"e{n}",
            source=SHOP,
            channel="web",
            received_at=T0 - r.choice((0, 1, 500)),
            original_time=ClaimedAt(T0 - r.choice((1_000, 5_000, DAY))),
            place=r.randrange(3),
            identifiers=[("user_id", person), *also],
            traits=Traits({f"t{name:02}": r.choice((None, 1, 2, 3, "é" * r.choice((1, 40)))) for name in names}),
            consent={f"c{r.randrange(6)}": r.choice((True, False))} if r.random() < 0.5 else None,
        )
        made.append(door.admit(incoming, b"{}"))
    return made


@law()
@given(seed=SEEDS, batch=st.sampled_from((2, 7, 5_000)), cached=st.sampled_from((1, 100_000)))
def test_what_is_shown_is_a_function_of_the_set(make_house: MakeHouse, seed: int, batch: int, cached: int) -> None:
    r = Random(seed)
    events = writes(r, 40)
    with narrow(LATEST=4, SHOWN_LENGTH=60, MOST_FREQUENT=1, _MANY=6):
        with make_house(now=T0 + DAY) as box:
            prepare(box)
            box.append(events)
            box.settle()
            once = dump(box)
            assert box.told() == box.full()
        with make_house(now=T0 + DAY, batch=batch, cached_profiles=cached, linger=r.choice(LINGERS)) as box:
            prepare(box)
            for chunk in chunks(r, delivered(r, events), 9):
                box.append(chunk)
                if r.random() < 0.7:
                    box.settle()
            box.settle()
            again = dump(box)
            assert box.told() == box.full()
            for traits, provenance, consent in box.writer.rows(
                "SELECT traits, provenance, consent FROM profile_rows FINAL WHERE live"
            ):
                assert json.loads(traits).keys() == json.loads(provenance).keys()
                assert len(json.loads(traits)) <= 4
                assert len(json.loads(consent)) <= 4
            box.replay()
            box.settle()
            assert dump(box) == again
    del once["rows"], again["rows"]
    assert again == once


def prepare(box: House) -> None:
    box.declare("rules", "rules", FREE.model_dump(mode="json", exclude={"version"}))
    for name, rule in RULES.items():
        box.declare("segment", name, {"rule": rule})
    box.settle()


def test_thousands_of_traits_are_a_view_of_the_latest(make_box: MakeBox) -> None:
    """With a public key anybody can write as many names: rows stay, the state and the view do not grow."""
    door = make_door()

    def identify(n: int) -> Verdict:
        incoming = Incoming(
            type="profile.identified",
            id=f"m{n}",
            source=SHOP,
            channel="web",
            received_at=T0 + n,
            identifiers=[("user_id", "u1")],
            traits=Traits({f"n{n}-{k}": "x" for k in range(250)} | {"n0-0": n}),
        )
        return door.admit(incoming, b"{}")

    with make_box(batch=5, now=T0 + DAY) as box:
        box.append([identify(n) for n in range(20)])
        box.settle()
        pipeline = box.runner.box
        [(_, looked)] = pipeline.states.held.items()
        state = looked.state
        assert len(state.traits) <= bounds.LATEST + 2
        [(text, names)] = box.writer.rows(
            "SELECT view, (SELECT uniqExact(name) FROM traits) FROM views FINAL WHERE live"
        )
        shown = json.loads(text)["traits"]
        assert (len(shown), names, shown["n0-0"]) == (bounds.LATEST, 20 * 250 + 0, 19)
        assert {name.split("-")[0] for name in shown} == {"n0", "n19", "n18"}
        pipeline.forget_states()
        box.append([identify(20)])
        box.settle()
        [(_, looked)] = pipeline.states.held.items()
        state = looked.state
        assert len(state.traits) <= bounds.LATEST + 2


def written(rank: int, text: str | None = "1") -> Written:
    return rank, text, "/sources/shop", "web"


def test_a_removed_trait_counts_among_the_latest_and_equal_ranks_go_by_name() -> None:
    values = {f"n{n:03}": written(n, None if n % 2 else "1") for n in range(bounds.LATEST + 10)}
    bounds.keep_latest(values, frozenset({"n001"}))
    assert sorted(values) == ["n001", *(f"n{n:03}" for n in range(10, bounds.LATEST + 10))]
    assert len(bounds.shown(values)) == bounds.LATEST
    tied = {f"n{n:03}": written(7) for n in range(bounds.LATEST + 10)}
    assert sorted(bounds.shown(tied)) == [f"n{n:03}" for n in range(bounds.LATEST)]


def test_long_values_are_shown_as_long_as_there_is_room() -> None:
    text = json.dumps("x" * 30_000)
    values = {f"n{n}": written(n, text) for n in range(30)}
    assert list(bounds.shown(values)) == [f"n{n}" for n in range(29, 21, -1)]
    assert bounds.shown({"a": written(1)}) == {"a": written(1)}


def test_event_types_and_currencies_beyond_the_bound_are_the_rarest() -> None:
    counts: dict[str, Any] = {f"custom.{n:03}": 1 + n // 50 for n in range(150)}
    shown = bounds.largest(counts, 100)
    assert sorted(shown) == [f"custom.{n:03}" for n in range(50, 150)]
    assert bounds.largest({"EUR": -5, "IRR": 4}, 1) == {"EUR": -5}
