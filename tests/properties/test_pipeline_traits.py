"""The law of computed traits, through the whole pipeline: at rest, each profile has the values of a full query."""

from collections.abc import Mapping
from typing import Any

import orjson
from hypothesis import given

from segments.computed import bound, bound_computation
from segments.rule import parse_rule
from segments.sql import compile_values
from tests.properties.installation import House, MakeHouse
from tests.properties.pipeline_life import Life
from tests.properties.pipeline_world import Random, law
from tests.properties.segments_world import SEEDS
from tests.properties.traits_world import make_traits


@law()
@given(seed=SEEDS)
def test_shown_equals_full(make_house: MakeHouse, seed: int) -> None:
    r = Random(seed)
    with make_house(batch=r.choice((3, 20)), cached_profiles=r.choice((1, 100_000))) as box:
        life = Life(r, box)
        for _ in range(3):
            life.events()
        box.settle()
        for name, written in make_traits(r).items():
            box.declare("trait", name, {"compute": written})
        box.declare("segment", "readers", {"rule": {"any": [{"trait": f"t{i}", "exists": True} for i in range(7)]}})
        box.settle()
        check(box)
        for happens in (life.something_happens, life.events, life.merge, life.time, life.split):
            happens()
            box.settle()
            check(box)
        edited = make_traits(r)
        box.declare("trait", "t0", {"compute": edited["t1"], "version": 2})
        box.registry.withdraw("trait", "kind", "tests")
        box.settle()
        check(box)
        box.replay()
        box.settle()
        check(box)


def check(box: House) -> None:
    traits, rules = box.traits(), {name: parse_rule(rule) for name, rule in box.rules().items()}
    bound_rules = {name: bound(rule, traits.get) for name, rule in rules.items()}
    made = {name: bound_computation(name, one, traits.get) for name, one in traits.items()}
    query = compile_values(list(made.values()), box.clock(), bound_rules.__getitem__)
    full = {
        profile: dict(zip(made, texts, strict=True)) for profile, texts in box.writer.rows(query.sql, query.parameters)
    }
    sent = stored(box)
    rows = box.writer.rows("SELECT profile, traits, provenance FROM profile_rows FINAL WHERE live")
    assert {profile for profile, _, _ in rows} == full.keys()
    for profile, shown, origins in rows:
        expected = {name: orjson.loads(text) for name, text in full[profile].items() if text}
        theirs = sent.get(profile, {})
        assert orjson.loads(shown) == {k: v for k, v in theirs.items() if k not in traits} | expected
        origin = orjson.loads(origins)
        assert {name for name, one in origin.items() if "computed" in one} == expected.keys()
        shadowed = {name: one["shadowed"]["value"] for name, one in origin.items() if "shadowed" in one}
        assert shadowed == {name: value for name, value in theirs.items() if name in traits}
    told, members = box.told(), box.full()
    for name, inside in told.items():
        assert inside == members.get(name, set()), name


def stored(box: House) -> Mapping[int, Mapping[str, Any]]:
    """What was sent of each profile's traits, by the table."""
    rows = box.writer.rows(
        "SELECT home, name, argMax(tuple(value), ver).1 FROM traits INNER JOIN"
        " (SELECT node, argMax(profile, ver) AS home FROM identity GROUP BY node) AS i USING node"
        " WHERE kind = 'trait' AND home != 0 GROUP BY home, name"
    )
    found: dict[int, dict[str, Any]] = {}
    for profile, name, value in rows:
        if value is not None:
            found.setdefault(profile, {})[name] = orjson.loads(value)
    return found
