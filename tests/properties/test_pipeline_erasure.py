"""The law of erasure, on both hosts: it commutes with late events, copies, merges, splits, restarts and replays; nobody
else changes; of the person nothing is left but facts. Whoever may come back is somebody new.

Installations with one past are compared: in one a person is erased before late events, among them or behind them, in
one nobody is erased, and one knows only what came from the person afterwards.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, NamedTuple

import orjson
from hypothesis import given
from hypothesis import strategies as st

from identity.nodes import from_hex, to_hex
from producers.door import Door, Refused, Verdict
from producers.identifiers import SUPPRESSED
from producers.incoming import Incoming
from producers.sealer import Sealer
from registry.erasures import REFUSE, START_ANEW, Returning
from schemas import fact_tables
from tests.properties import facts_model
from tests.properties.installation import House, MakeHouse
from tests.properties.pipeline_world import (
    CATALOG,
    FREE,
    LINGERS,
    SECRET,
    Random,
    chunks,
    delivered,
    dump,
    law,
    make_event,
    make_segments,
    nodes_hex,
)
from tests.properties.segments_world import DAY, SEEDS, T0
from tests.properties.test_pipeline_tables import make_incoming

GROUPS: Final = ("x", "y", "z")
OF_NODES: Final = ("identity", "traits", "consents", "identifiers", "events")
OF_PROFILES: Final = ("profiles", "views", "members", "memberships")
LATER_MS: Final = 10_000
BEHIND: Final = 2
NEVER: Final = 3


class Past(NamedTuple):
    """What all installations have in common. `merged`: pairs of identifiers' nodes, `parted`: nodes that leave."""

    segments: dict[str, dict[str, Any]]
    early: list[Incoming]
    late: list[Incoming]
    merged: list[tuple[int, int]]
    parted: list[list[int]]
    victim: int
    again_at: int
    """When the person comes back."""
    forgotten: Collection[int] = ()
    """The nodes of the victim's profile at the moment of the erasure."""


def door_of(house: House, *, knows: bool = True) -> Door:
    """A collector's; one that does not know yet who was forgotten lets everybody in."""
    assert house.keyring is not None
    sealer = Sealer(house.keyring, SECRET, "default", CATALOG)
    erasures = house.registry.erasures
    return Door(
        SECRET,
        "default",
        lambda: FREE,
        CATALOG,
        lambda: "fresh",
        sealer=sealer,
        forgotten=lambda: erasures.nodes if knows else (),
        returning=lambda: erasures.returning,
    )


def events(r: Random, number: int, now: int, first: int) -> list[Incoming]:
    return [
        r.choice((make_event, make_event, make_incoming))(r, f"e{first + n}", now, r.choice(GROUPS), 2)
        for n in range(number)
    ]


def nodes_of(door: Door, event: Incoming) -> set[int]:
    return {
        node for type_, value, *_ in event.identifiers if (node := door.identifiers.node(event.source, type_, value))
    }


def make_past(r: Random, now: int) -> Past:
    plain = Door(SECRET, "default", lambda: FREE, CATALOG, lambda: "fresh")
    early = events(r, 18, now, 0)
    known = sorted(set[int]().union(*(nodes_of(plain, event) for event in early)))
    merged = [(a, b) for a, b in (r.sample(known, 2) for _ in range(r.choice((0, 1, 2))))]
    parted = [r.sample(known, r.choice((1, 2))) for _ in range(r.choice((0, 1, 1)))]
    return Past(make_segments(r), early, events(r, 12, now, 100), merged, parted, r.choice(known), now + 5 * LATER_MS)


def whole(past: Past, house: House) -> Past:
    """With the nodes of the victim at this moment, and only late events that do not change who that is."""
    plain = Door(SECRET, "default", lambda: FREE, CATALOG, lambda: "fresh")
    forgotten = set(house.graph.nodes_of(house.graph.profile_of(past.victim)))
    late = [event for event in past.late if is_apart(nodes_of(plain, event), forgotten)]
    return past._replace(late=late, forgotten=forgotten)


def is_apart(nodes: set[int], forgotten: Collection[int]) -> bool:
    """Whether an event is the victim's alone, or has nothing to do with them: another would change who is forgotten."""
    return nodes.issubset(forgotten) or nodes.isdisjoint(forgotten)


def begin(r: Random, house: House, past: Past) -> None:
    """Up to the moment of the erasure."""
    house.declare("rules", "rules", FREE.model_dump(mode="json", exclude={"version"}))
    for name, rule in past.segments.items():
        house.declare("segment", name, {"rule": rule})
    house.settle()
    send(r, house, past.early)
    house.settle()
    for a, b in past.merged:
        house.command("merge", a=to_hex(a), b=to_hex(b))
        house.settle()
    for nodes in past.parted:
        house.command("split", nodes=nodes_hex(nodes))
        house.settle()


def send(
    r: Random, house: House, some: Sequence[Incoming], *, copies: float = 0.3, knows: bool = False
) -> list[Verdict]:
    """In another order, some of them several times, over collectors that may have been told of an erasure."""
    door = door_of(house, knows=knows)
    sent: list[Verdict] = [door.admit(event, b"{}") for event in some]
    for chunk in chunks(r, delivered(r, sent, copies), 7):
        house.append(chunk)
        disturb(r, house)
    return sent


def disturb(r: Random, house: House) -> None:
    if r.random() < 0.4:
        house.settle()
    if r.random() < 0.1:
        house.restart()
    if r.random() < 0.1:
        house.forget_states()


def erase(house: House, past: Past, returning: Returning) -> None:
    house.declare("erase", "request", {"profile": to_hex(past.victim), "reason": "tests", "returning": returning})


def finish(house: House) -> None:
    """Until what other processes may have written is removed, too."""
    house.settle()
    house.clock.now += LATER_MS
    house.settle()


def of_others(house: House, forgotten: Collection[int]) -> dict[str, object]:
    """What is known of everybody else."""
    found = {name: json.loads(rows) for name, rows in dump(house).items()}
    gone = _as_dumped(forgotten)
    known: dict[str, object] = {}
    for names, column in ((OF_NODES, "node"), (OF_PROFILES, "profile")):
        for name in names:
            known[name] = [row for row in found[name] if row[column] not in gone]
    known["told"] = {name: there - set(forgotten) for name, there in house.told().items()}
    return known


def _as_dumped(nodes: Collection[int]) -> set[str]:
    return {str(node.to_bytes(16, "little")) for node in nodes}


def facts_in(house: House) -> list[Any]:
    """Of everybody, whoever it was."""
    sql = "SELECT node, time, type, amount, currency, fact, key FROM events ORDER BY ALL"
    return house.writer.rows(sql)


def check_nothing_left(house: House, forgotten: Collection[int]) -> None:
    nodes = {"nodes": sorted(forgotten)}
    for table in ("traits", "consents", "identifiers"):
        assert house.writer.rows(f"SELECT * FROM {table} WHERE node IN {{nodes:Array(UInt128)}}", nodes) == []
    for table in ("profile_rows", "views"):
        sql = f"SELECT * FROM {table} FINAL WHERE live AND profile IN {{nodes:Array(UInt128)}}"
        assert house.writer.rows(sql, nodes) == []
    for each in fact_tables.ALL:
        for column in each.personal:
            sql = f"SELECT count() FROM {each.name} WHERE {column.present} AND node IN {{nodes:Array(UInt128)}}"
            assert house.writer.rows(sql, nodes) == [(0,)]
    sql = "SELECT count() FROM identity FINAL WHERE profile != 0 AND node IN {nodes:Array(UInt128)}"
    assert house.writer.rows(sql, nodes) == [(0,)]
    for (payload,) in house.writer.rows("SELECT payload FROM events WHERE node IN {nodes:Array(UInt128)}", nodes):
        said = orjson.loads(payload)
        assert said.keys().isdisjoint({"sealed", "traits", "context", "consent", "name"})
        assert said["id"] == said["key"]


def check_model(house: House, sent: Iterable[Verdict]) -> None:
    """Every profile's metrics are those of the first copies of its events, as a plain model counts them."""
    counted = facts_model.counted(sent)
    assert facts_model.shown(house.writer) == facts_model.in_rows(house.writer, counted)
    assert house.told() == house.full()


@law()
@given(seed=SEEDS, erased_at=st.sampled_from((0, 1, 2)), returning=st.sampled_from((REFUSE, START_ANEW)))
def test_erasure_commutes_and_changes_nobody_else(
    make_house: MakeHouse, seed: int, erased_at: int, returning: Returning
) -> None:
    """`erased_at`: 0 is before the late events, 1 among them, 2 behind them."""
    r = Random(seed)
    now = T0 + DAY
    past = make_past(r, now)
    with make_house(now=now, sealed=True, linger=r.choice(LINGERS)) as house:
        begin(r, house, past)
        past = whole(past, house)
        sent = goes_on(r, house, past, returning, erased_at)
        house.settle()
        with make_house(now=now, sealed=True) as other:
            begin(r, other, past)
            goes_on(r, other, past, returning, NEVER)
            other.settle()
            assert of_others(house, past.forgotten) == of_others(other, past.forgotten)
            assert facts_in(house) == facts_in(other)
        check_nothing_left(house, past.forgotten)
        check_model(house, sent)
        sent += come_back(r, house, past, returning, make_house)
        if r.random() < 0.3:
            finish(house)
        before = dump(house, history=True)
        house.replay()
        house.settle()
        check_nothing_left(house, past.forgotten)
        assert dump(house, history=True) == before
        check_model(house, sent)


def goes_on(r: Random, house: House, past: Past, returning: Returning, erased_at: int) -> list[Verdict]:
    """What was sent in all."""
    sent = [door_of(house, knows=False).admit(event, b"{}") for event in past.early]
    half = len(past.late) // 2
    for moment, some in enumerate((past.late[:half], past.late[half:])):
        if erased_at == moment:
            erase(house, past, returning)
            disturb(r, house)
        sent += send(r, house, [*some, *r.sample(past.early, 5)], knows=False)
    house.settle()
    if erased_at == BEHIND:
        erase(house, past, returning)
    if r.random() < 0.2:
        house.settle()
        house.replay()
    return sent


def coming_back(r: Random, past: Past) -> list[Incoming]:
    """What the person sends afterwards, in orders of their own."""
    plain = Door(SECRET, "default", lambda: FREE, CATALOG, lambda: "fresh")
    found = [
        event
        for event in events(r, 90, past.again_at, 1_000)
        if (who := nodes_of(plain, event))
        and who.issubset(past.forgotten)
        and not isinstance(plain.admit(event, b"{}"), Refused)
    ]
    for event in found:
        event.properties = {name: value for name, value in (event.properties or {}).items() if name != "order_id"}
    return found


def come_back(r: Random, house: House, past: Past, returning: Returning, make_house: MakeHouse) -> list[Verdict]:
    """What the person sends then; copies of what they sent before come with it, and tell nothing."""
    again = coming_back(r, past)
    house.registry.refresh()
    assert house.clock() <= past.again_at
    house.clock.now = past.again_at
    sent = send(r, house, [*again, *r.sample(past.early, 5)], knows=True)
    house.settle()
    came = sent[: len(again)]
    if returning == REFUSE:
        assert all(isinstance(one, Refused) and (one.code, one.message) == (SUPPRESSED, None) for one in came)
        return came
    new = {from_hex(one["node"]) for verdict in came for one in orjson.loads(verdict[1])["identifiers"]}
    assert new.isdisjoint(past.forgotten)
    with make_house(now=past.again_at, sealed=True) as fresh:
        fresh.declare("rules", "rules", FREE.model_dump(mode="json", exclude={"version"}))
        for name, rule in past.segments.items():
            fresh.declare("segment", name, {"rule": rule})
        fresh.settle()
        send(r, fresh, again)
        fresh.settle()
        assert shown(house, new) == shown(fresh)
    return came


def shown(house: House, nodes: Collection[int] | None = None) -> list[str]:
    """Of the profiles (of these nodes) everything but the ids that are made of nodes."""
    found = json.loads(dump(house)["profiles"])
    wanted = None if nodes is None else _as_dumped(nodes)
    rows = [row for row in found if wanted is None or row["profile"] in wanted]
    return sorted(json.dumps({name: row[name] for name in row if name != "profile"}, sort_keys=True) for row in rows)
