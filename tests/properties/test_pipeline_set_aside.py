"""A segment that cannot be put into effect stops nothing: it is set aside with its reason."""

import json
from itertools import pairwise
from typing import Any

import pytest

from schemas import topics
from schemas.errors import Broken, InvalidInput
from segments.sql import Page
from stream_processors.flow import backfill
from tests.properties.installation import House, MakeHouse
from tests.properties.pipeline_world import NAMED, Random, make_door, make_events
from tests.properties.segments_world import T0

GOOD = {"metric": "events", "gte": 1}
MANY = {"any": [{"event": "order.completed", "where": [{"property": f"p{i}", "eq": i}]} for i in range(100)]}
POISON = {"any": [{"segment": "many"} for _ in range(100)]}
"""Each is within the limits of one rule; put together they are more than a statement may be."""


def write(box: House, segment: str, rule: Any, version: int = 1) -> None:
    """Past the API, which would refuse it."""
    body = {"id": segment, "name": segment, "rule": rule, "version": version, "created_at": T0}
    record = {"kind": "segment", "op": "put", "id": segment, "body": body, "at": T0, "by": "another hand"}
    box.write(topics.REGISTRY, [(b"k", json.dumps(record).encode())])


def aside(box: House) -> dict[str, str]:
    box.registry.refresh()
    return {name: effect.aside for name, effect in box.registry.effects.items() if effect.aside is not None}


def test_a_poison_segment_is_set_aside_and_everything_else_goes_on(make_house: MakeHouse) -> None:
    with make_house() as box:
        box.append(make_events(Random(3), 40, T0, make_door()))
        for name, rule in NAMED.items():
            box.declare("segment", name, {"rule": rule})
        write(box, "many", MANY)
        write(box, "poison", POISON)
        box.declare("segment", "after", {"rule": GOOD})
        box.settle()
        assert aside(box).keys() == {"poison"}
        assert "leaves" in aside(box)["poison"]
        told = box.told()
        assert told == box.full()
        assert told["after"]
        box.restart()
        box.append(make_events(Random(4), 40, T0, make_door(), group="more"))
        box.settle()
        assert box.told() == box.full()
        box.replay()
        box.settle()
        assert box.told() == box.full()
        write(box, "poison", GOOD, 2)
        box.settle()
        assert aside(box) == {}
        assert box.told()["poison"] == box.told()["after"]


def test_an_edit_that_cannot_be_leaves_the_rule_that_is(make_house: MakeHouse) -> None:
    with make_house() as box:
        box.append(make_events(Random(3), 40, T0, make_door()))
        write(box, "many", MANY)
        box.declare("segment", "s", {"rule": GOOD})
        box.declare("segment", "user", {"rule": {"segment": "s"}})
        box.settle()
        before = box.told()
        write(box, "s", POISON, 2)
        write(box, "user", {"odd": 1}, 2)
        box.settle()
        assert aside(box).keys() == {"s", "user"}
        assert box.told() == before
        box.registry.withdraw("segment", "user", "tests")
        box.registry.withdraw("segment", "s", "tests")
        box.settle()
        assert aside(box) == {}
        assert not box.told().get("s")
        assert not box.told().get("user")


def test_what_an_earlier_version_took_is_set_aside_at_the_start(
    make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with make_house() as box:
        box.append(make_events(Random(3), 40, T0, make_door()))
        box.declare("segment", "s", {"rule": GOOD})
        box.settle()
        assert box.told()["s"]
        monkeypatch.setattr("segments.rule.MAX_NODES", 0)
        box.restart()
        box.settle()
        assert "nodes" in aside(box)["s"]
        assert not box.told().get("s")


class Narrow:
    """A reader that answers for a few profiles at once only."""

    def __init__(self, reader: Any, most: int) -> None:
        self._reader, self._most, self.asked = reader, most, 0

    def fill(self, sql: str, parameters: Any = None) -> Any:
        rows = self._reader.fill(sql, parameters)
        self.asked += 1
        if len(rows) > self._most:
            raise InvalidInput("too many", code="query_too_large")
        return rows

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "PAGE", 5)
    monkeypatch.setattr(backfill, "_SMALLEST", 0)
    monkeypatch.setattr("stream_processors.host.box._READ", 3)


@pytest.mark.usefixtures("small_pages")
def test_a_segment_of_any_size_is_filled_in_pages(make_house: MakeHouse) -> None:
    with make_house() as box:
        box.append(make_events(Random(3), 60, T0, make_door(), people=9))
        box.settle()
        declarations = box.declarations
        declarations.reader = reader = Narrow(declarations.reader, 2)
        for name, rule in NAMED.items():
            box.declare("segment", name, {"rule": rule})
        box.declare("segment", "all", {"rule": GOOD})
        box.settle()
        assert aside(box) == {}
        assert box.told() == box.full()
        assert len(box.told()["all"]) > 5
        assert reader.asked > 5
        box.registry.withdraw("segment", "all", "tests")
        box.settle()
        assert not box.told().get("all")


def test_segments_declared_together_read_history_once(make_house: MakeHouse) -> None:
    with make_house() as box:
        box.append(make_events(Random(3), 60, T0, make_door()))
        box.settle()
        declarations = box.declarations
        declarations.reader = reader = Narrow(declarations.reader, 1_000_000)
        for name, rule in NAMED.items():
            box.declare("segment", name, {"rule": rule})
        box.settle()
        assert reader.asked == 2  # how many profiles there are, and who of them is in which segment
        assert box.told() == box.full()


def test_one_of_many_that_cannot_be_filled_is_found_out(make_house: MakeHouse) -> None:
    """Whatever is wrong with it shows only when the engine is asked."""
    with make_house() as box:
        box.append(make_events(Random(3), 60, T0, make_door()))
        box.settle()
        declarations = box.declarations
        declarations.reader = Refusing(declarations.reader, "odd.type")
        for name, rule in NAMED.items():
            box.declare("segment", name, {"rule": rule})
            if name == "buyers":
                box.declare("segment", "odd", {"rule": {"event": "odd.type"}})
                box.declare("segment", "names-odd", {"rule": {"not": {"segment": "odd"}}})
        box.settle()
        assert aside(box).keys() == {"odd", "names-odd"}
        box.append(make_events(Random(4), 60, T0, make_door(), group="more"))
        box.settle()
        told = box.told()
        assert {name: told[name] for name in NAMED if name in told} == {
            name: found for name, found in box.full().items() if name in NAMED and name in told
        }
        box.restart()
        box.settle()
        assert aside(box).keys() == {"odd", "names-odd"}
        assert box.told() == told


class Refusing:
    """A reader that does not answer what asks for one type of event."""

    def __init__(self, reader: Any, kind: str) -> None:
        self._reader, self._kind = reader, kind

    def fill(self, sql: str, parameters: Any = None) -> Any:
        if any(self._kind in value for value in (parameters or {}).values() if isinstance(value, list | str)):
            raise Broken("the engine refused a query")
        return self._reader.fill(sql, parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)


def test_pages_are_all_profiles_and_each_once() -> None:
    for profiles in (0, 1, 249_999, 250_000, 3_000_001):
        pages = backfill.whole(profiles)
        assert (pages[0].first, pages[-1].last) == (0, 2**128 - 1)
        assert all(a.last + 1 == b.first for a, b in pairwise(pages))
        assert len(pages) == profiles // backfill.PAGE + 1
    assert backfill._split(Page(4, 6), 2) == [Page(4, 5), Page(6, 6)]
