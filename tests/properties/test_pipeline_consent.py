"""The law of consent: of a profile's statements the latest in the total order holds, on both hosts.

Whatever the order of arrival, repeated, over merges and splits, restarts and a replay; and what was stated over the API
is on record and counts in no metric.
"""

from collections.abc import Iterable
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from eventlog.port import Message
from identity.nodes import from_hex
from producers.door import Door, Refused, Verdict
from producers.statements import PLATFORM, stated
from registry.models import Purpose
from schemas import platform
from schemas.moments import read_moment
from schemas.order import rank
from stream_processors.views.consent import who_allows
from stream_processors.views.find import Views
from stream_processors.views.recent import RecentViews
from tests.properties.installation import House, MakeHouse
from tests.properties.pipeline_world import Random, chunks, delivered, law, make_door, make_events
from tests.properties.segments_world import DAY, SEEDS, T0
from tests.properties.test_pipeline_facts import commands

PURPOSES = ("marketing", "care")


def statements(r: Random, number: int, now: int, door: Door) -> list[Message]:
    """What a steward records, for anybody, of any moment."""
    who = [(kind, f"{letter}{n}{more}") for n in range(4) for kind, letter, more in NAMES]
    return [
        stated(
            door,
            PLATFORM,
            r.choice(who),
            {purpose: r.random() < 0.5 for purpose in r.sample(PURPOSES, r.randint(1, 2))},
            id=f"s{n}",
            received_at=now - r.choice((0, 0, 1, 5_000)),
            at=r.choice((None, now - DAY, now - 60_000, now + DAY)),
            detail={"reason": f"reason {n}", "stated_by": "token:tests"},
        )
        for n in range(number)
    ]


NAMES = (("user_id", "u", ""), ("email", "p", "@example.com"), ("anonymous_id", "a", "-0"))


class Model:
    """Every statement that was sent, by the node of its event's anchor."""

    def __init__(self, sent: Iterable[Verdict]) -> None:
        self.rows: set[tuple[Any, ...]] = set()
        self.events: dict[int, set[str]] = {}
        for verdict in sent:
            if isinstance(verdict, Refused):
                continue
            event = orjson.loads(verdict[1])
            anchors = [one["node"] for one in event["identifiers"] if "trust" not in one]
            if not anchors:
                continue
            node, source = from_hex(anchors[0]), event["source"].removeprefix("/sources/")
            at = _rank(event)
            self.rows |= {
                (node, purpose, at, orjson.dumps(value).decode(), source)
                for purpose, value in event.get("consent", {}).items()
            }
            if source != platform.SOURCE:
                self.events.setdefault(node, set()).add(event["key"])

    def holding(self, nodes: set[int]) -> dict[str, Any]:
        """Purpose -> what was stated last by one of these."""
        said = sorted((at, purpose, value) for node, purpose, at, value, _ in self.rows if node in nodes)
        return {purpose: orjson.loads(value) for _, purpose, value in said}


def _rank(event: dict[str, Any]) -> int:
    time, received = read_moment(event["time"]), read_moment(event["received_at"])
    assert time is not None
    assert received is not None
    return rank(time, received, event["place"], int(event["key"], 16))


def check(house: House, model: Model) -> None:
    rows = house.writer.rows("SELECT node, purpose, ver, value, source FROM consents FINAL")
    assert sorted(rows) == sorted(model.rows)
    members: dict[int, set[int]] = {}
    for node, profile in house.writer.rows("SELECT node, profile FROM identity FINAL WHERE profile != 0"):
        members.setdefault(profile, set()).add(node)
    shown = house.writer.rows("SELECT profile, consent, events FROM profile_rows FINAL WHERE live")
    assert {profile for profile, _, _ in shown} == members.keys()
    retold = {key for (key,) in house.writer.rows("SELECT key FROM retellings")}
    for profile, consent, events in shown:
        assert orjson.loads(consent) == model.holding(members[profile])
        keys = set[str]().union(*(model.events.get(node, set()) for node in members[profile]))
        assert events == len([key for key in keys if int(key, 16) not in retold])
    views = house.writer.rows("SELECT profile, view FROM views FINAL WHERE live")
    for profile, text in views:
        view = orjson.loads(text)
        origins, is_all = view["stated"]
        assert is_all
        assert (view["consent"], origins.keys()) == (model.holding(members[profile]), view["consent"].keys())
    ask(house, model, members)


def ask(house: House, model: Model, members: dict[int, set[int]]) -> None:
    """As a trigger asks, by the profile's id, and by one that was absorbed."""
    reader = house.warehouse.reader(lambda: house.generation)
    purpose = Purpose(id="care", default="granted", created_at=1)
    asked = who_allows(lambda: {"care": purpose}, lambda: Views(reader, RecentViews()), reader)
    homes = {node: profile for profile, nodes in members.items() for node in nodes}
    yes = {
        node for node, profile in homes.items() if model.holding(members[profile]).get("care", True) in (True, "yes")
    }
    assert asked("care", list(homes)) == yes


@law(3)
@given(seed=SEEDS, cached=st.sampled_from((1, 100_000)))
def test_the_latest_statement_holds(make_house: MakeHouse, seed: int, cached: int) -> None:
    r = Random(seed)
    door = make_door()
    sent: list[Verdict] = [*make_events(r, 30, T0, door), *statements(r, 12, T0, door)]
    with make_house(now=T0 + DAY, cached_profiles=cached, batch=r.choice((3, 5_000))) as house:
        house.declare("segment", "agreed", {"rule": {"consent": "marketing", "eq": True}})
        for chunk in chunks(r, delivered(r, sent), 9):
            house.append(chunk)
            if r.random() < 0.3:
                commands(r, house)
            if r.random() < 0.5:
                house.settle()
            if r.random() < 0.15:
                house.restart()
            if r.random() < 0.15:
                house.forget_states()
        house.settle()
        model = Model(sent)
        check(house, model)
        assert house.told() == house.full()
        house.replay()
        house.settle()
        check(house, model)
        assert house.told() == house.full()
