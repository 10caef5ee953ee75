"""Many segments declared over the API at once: recorded, filled together, and how far that is."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import given

from benchmarks.workload import segments
from profile_api.app import create_api
from profile_api.deps import ApiDeps, Projections
from registry.registry import Registry
from schemas import topics
from stream_processors.flow import backfill
from stream_processors.flow.filling import FillingProgress
from tests.properties.installation import House, MakeHouse
from tests.properties.pipeline_world import Box, MakeBox, Random, law, make_door, make_events
from tests.properties.segments_world import SEEDS, T0
from tests.unit.api_world import SECRET, TOKEN, Client


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal() as made:
        yield made


class Watched:
    """A reader that looks around before it answers each question."""

    def __init__(self, reader: Any, look: Any) -> None:
        self._reader, self._look = reader, look

    def fill(self, sql: str, parameters: Any = None) -> Any:
        self._look()
        return self._reader.fill(sql, parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)


def api(box: Box, portal: BlockingPortal, progress: FillingProgress) -> Client:
    """Of a box whose declarations note their progress there, and whose requests wait for next to nothing."""
    registry = Registry(box.log, box.clock, env_token=TOKEN)
    box.runner.declarations.progress = progress
    reader = box.warehouse.reader(lambda: 1)
    deps = ApiDeps(
        box.log, registry, reader, SECRET, "default", lambda record, payload: {}, box.clock,
        projections=Projections(visible_within=0.01, filled=progress.of),
    )  # fmt: skip
    return Client(create_api(deps), portal)


def test_a_burst_is_202_with_a_place_to_ask_and_filled_together(
    make_box: MakeBox, portal: BlockingPortal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "PAGE", 5)
    with make_box() as box:
        box.append(make_events(Random(3), 200, T0, make_door(), people=25))
        box.settle()
        client = api(box, portal, FillingProgress())
        rules = segments(20)
        for name, rule in rules.items():
            made = client.post("/v1/segments", json={"id": name, "rule": rule})
            assert (made.status_code, made.headers["location"]) == (202, f"/v1/segments/{name}")
        assert client.get("/v1/segments/segment-0").json()["state"] == "filling"
        assert client.get("/v1/segments/segment-19").json()["state"] == "pending"

        seen: list[list[Any]] = []

        def look() -> None:
            answers = [client.get(f"/v1/segments/{name}").json() for name in ("segment-0", "segment-19")]
            seen.append([(answer["state"], answer.get("progress")) for answer in answers])

        box.runner.declarations.reader = Watched(box.runner.declarations.reader, look)
        box.settle()
        assert len(seen) > 3
        assert all(first == last for first, last in seen)
        assert {state for (state, _), _ in seen} == {"filling"}
        shares = [share for (_, share), _ in seen]
        assert shares == sorted(shares)
        assert 0 == shares[0] < shares[-1] < 1
        listed = client.get("/v1/segments").json()["items"]
        assert {segment["state"] for segment in listed} == {"live"}
        assert all("progress" not in segment for segment in listed)
        told = box.told()
        assert told == box.full()
        assert {segment["id"]: segment["size"] for segment in listed} == {name: len(told[name]) for name in rules}


def test_what_is_in_memory_gets_what_new_rules_ask_for(make_house: MakeHouse) -> None:
    """Events after a declaration, of profiles whose states are from before it."""
    with make_house() as box:
        door, r = make_door(), Random(5)
        box.declare("segment", "early", {"rule": {"event": "page.viewed", "count": {"gte": 2}}})
        box.append(make_events(r, 60, T0, door, people=8))
        box.settle()
        for n, rule in enumerate(segments(6).values()):
            box.declare("segment", f"s{n}", {"rule": rule})
            if n % 4 == 0:
                box.settle()
            if n == 5:
                box.registry.withdraw("segment", "early", "tests")
            box.append(make_events(r, 10, box.clock(), door, first=100 + 10 * n, people=8))
            box.clock.now += 3 * 86_400_000
            box.settle()
            told = box.told()
            assert told == box.full() | {name: set() for name in told.keys() - box.rules().keys()}


@law()
@given(seed=SEEDS)
def test_what_comes_of_a_burst_is_what_comes_of_one_by_one(make_house: MakeHouse, seed: int) -> None:
    """Declared, edited, deleted and declared again at once, or each when the one before is in effect: the same members,
    with the difference that a burst does not publish what was in effect in between."""
    r = Random(seed)
    events = list(make_events(r, 40, T0, make_door(), people=8))
    declared = [_declaration(r) for _ in range(r.choice((4, 12)))]
    told = []
    for together in (True, False):
        with make_house() as box:
            box.append(events)
            box.settle()
            for declare in declared:
                declare(box)
                if not together:
                    box.settle()
            box.settle()
            told.append({segment: members for segment, members in box.told().items() if members})
    assert told[0] == told[1]


def _declaration(r: Random) -> Callable[[House], None]:
    name = r.choice(("a", "b", "c", "d"))
    inner = r.choice([one for one in ("a", "b", "c", "d") if one != name])
    rule = r.choice((
        {"segment": inner},
        {"not": {"segment": inner}},
        {"odd": 1},
        *list(segments(20).values())[:8],
    ))  # fmt: skip
    if r.random() < 0.25:
        record = {"kind": "segment", "op": "delete", "id": name, "body": {}, "at": T0, "by": "another hand"}
    else:
        body = {"id": name, "name": name, "rule": rule, "version": 1, "created_at": T0}
        record = {"kind": "segment", "op": "put", "id": name, "body": body, "at": T0, "by": "another hand"}
    return lambda box: box.write(topics.REGISTRY, [(b"k", json.dumps(record).encode())])


def test_a_rule_reads_a_trait_beyond_the_bounds(make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("stream_processors.state.bounds", "stream_processors.state.cold"):
        monkeypatch.setattr(f"{place}.LATEST", 2)
    with make_house() as box:
        door = make_door()
        box.append(make_events(Random(7), 80, T0, door, people=3))
        box.settle()
        box.declare(
            "segment", "s", {"rule": {"any": [{"trait": "country", "exists": True}, {"trait": "plan", "exists": True}]}}
        )
        box.settle()
        box.append(make_events(Random(8), 40, T0, door, first=500, people=3))
        box.settle()
        assert box.told() == box.full()
        assert box.log.ends(topics.SEGMENTS)[0] >= len(box.told()["s"])
