"""The law of accounts, on both hosts: members, traits, branches and money are functions of the set of events and of who
is who, whatever the order of arrival, over merges, splits, restarts and a replay. Whoever is forgotten leaves."""

from collections import defaultdict
from decimal import Decimal
from typing import Any, Final

import orjson
from hypothesis import given
from hypothesis import strategies as st

from identity.nodes import to_hex
from producers.door import Door, Verdict
from producers.incoming import ClaimedAt, Context, Incoming
from profile_api.branches import Said, folded
from tests.properties.accounts_model import UNASSIGNED, Model
from tests.properties.installation import House, MakeHouse
from tests.properties.pipeline_world import (
    AGES,
    LINGERS,
    SOURCES,
    Random,
    chunks,
    delivered,
    dump,
    law,
    make_door,
    make_identifiers,
)
from tests.properties.segments_world import DAY, SEEDS, T0
from tests.properties.test_pipeline_erasure import disturb, door_of
from tests.properties.test_pipeline_facts import commands
from warehouse import accounts

KEYS: Final = ("acme", "بنیاد", "42", "acme-isfahan")
KINDS: Final = (
    *("group.joined", "group.joined", "account.added_user", "account.removed_user", "account.updated"),
    *("order.completed", "order.completed", "order.refunded", "order.cancelled", "page.viewed"),
)
NAMES: Final = ("name", "industry", "plan", "ours")
TABLES: Final = ("account_events", "affiliations", "account_traits", "account_parents")
END: Final = {"type": "", "ms": 1 << 43, "received": 1 << 43, "place": 1 << 62, "key": (1 << 128) - 1, "limit": 500}


def make_event(r: Random, id: str, now: int) -> Incoming:
    kind, account, source = r.choice(KINDS), r.choice(KEYS), r.choice(SOURCES)
    properties: dict[str, Any] = {}
    if kind == "group.joined":
        properties["group_id"] = account
    elif kind.startswith("account."):
        properties["account_id"] = account
    elif r.random() < 0.3:
        properties["account_id" if kind.startswith("order") else "group_id"] = account
    if kind in ("group.joined", "account.added_user"):
        properties |= r.choice(({}, {"role": "buyer"}, {"role": "boss"}, {"role": None}))
        properties |= r.choice(({}, {"reports_to": f"u{r.randrange(3)}"}, {"reports_to": None}))
    if kind in ("group.joined", "account.updated"):
        properties["traits"] = {name: r.choice(("a", "b", None)) for name in r.sample(NAMES, r.randint(0, 2))}
        properties |= r.choice(({}, {"parent_id": r.choice(KEYS)}, {"parent_id": None}))
    if kind.startswith("order"):
        properties |= {"order_id": f"o{r.randrange(6)}", "revenue": r.choice((19.99, 20, -5)), "currency": "EUR"}
    context = {}
    if kind == "page.viewed" and properties:
        context = {"groupId": properties.pop("group_id")}
    received = now - r.choice((0, 0, 1, 5_000))
    return Incoming(
        type=kind,
        id=id,
        source=source,
        channel=source.channel,
        received_at=received,
        original_time=ClaimedAt(received - r.choice(AGES)),
        identifiers=make_identifiers(r, "", 3),
        properties=properties,
        context=Context(context),
        of_nobody=True,
    )


def send(r: Random, house: House, door: Door, number: int, first: int = 0) -> list[Verdict]:
    made = [door.admit(make_event(r, f"e{first + n}", T0 + DAY), b"{}") for n in range(number)]
    for chunk in chunks(r, delivered(r, made), 9):
        house.append(chunk)
        disturb(r, house)
    return made


def homes(house: House) -> dict[int, int]:
    return dict(house.writer.rows("SELECT node, profile FROM identity FINAL WHERE profile != 0"))


def check(house: House, sent: list[Verdict]) -> None:
    model = Model(sent, homes(house))
    rows = house.writer.rows
    said = [Said(*one) for one in rows("SELECT ver, account, parent FROM account_parents")]
    assert folded(reversed(said)).parents == model.parents
    everybody = {"accounts": list(KEYS)}
    traits: dict[str, dict[str, Any]] = defaultdict(dict)
    for account, name, text, *_ in rows(accounts.TRAITS, everybody):
        traits[account][name] = orjson.loads(text)
    headcounts = dict(rows(accounts.HEADCOUNT, everybody))
    money: dict[tuple[str, str, str], Decimal] = {}
    orders: dict[str, int] = defaultdict(int)
    for account, kind, currency, times, total in rows(accounts.MONEY, everybody):
        if currency:
            money[account, kind, currency] = total
        orders[account] += times if kind == "order" else 0
    for account in KEYS:
        one = {"accounts": [account]}
        members = rows(accounts.MEMBERS, one | {"after": 0, "limit": 100})
        expected = model.members[account]
        assert [(profile, since, role, superior) for profile, since, role, superior in members] == [
            (profile, place.since >> 212, place.role, place.superior) for profile, place in sorted(expected.items())
        ]
        assert headcounts.get(account, 0) == len(expected)
        known = {name: value for name, value in model.traits[account].items() if value is not None}
        assert traits[account] == known
        told = [key for _, _, _, _, key, _, _ in rows(accounts.TIMELINE, one | END)]
        assert set(told) == model.belongs[account]
        assert len(told) == len(set(told))
    assert money == {name: amount for name, amount in model.money.items() if name[0] != UNASSIGNED}
    assert orders == {account: number for account, number in model.orders.items() if account != UNASSIGNED}
    assert _of_view(house) == model.money


def _of_view(house: House) -> dict[tuple[str, str, str], Decimal]:
    """Every amount, each once: also what belongs to no account."""
    sql = """SELECT account, kind, currency, sum(amount) FROM account_money WHERE counts AND currency != ''
        GROUP BY ALL"""
    return {(account, kind, currency): total for account, kind, currency, total in house.writer.rows(sql)}


@law()
@given(seed=SEEDS, cached=st.sampled_from((1, 100_000)))
def test_accounts_are_functions_of_the_set(make_house: MakeHouse, seed: int, cached: int) -> None:
    r = Random(seed)
    door = make_door()
    with make_house(
        now=T0 + DAY, cached_profiles=cached, batch=r.choice((3, 5_000)), linger=r.choice(LINGERS)
    ) as house:
        sent: list[Verdict] = []
        for turn in range(3):
            sent += send(r, house, door, 20, turn * 100)
            house.settle()
            commands(r, house)
        house.settle()
        check(house, sent)
        before = dump(house)
        house.replay()
        house.settle()
        assert {name: dump(house)[name] for name in TABLES} == {name: before[name] for name in TABLES}
        check(house, sent)


@law()
@given(seed=SEEDS)
def test_whoever_is_forgotten_leaves_and_facts_about_accounts_stay(make_house: MakeHouse, seed: int) -> None:
    r = Random(seed)
    with make_house(now=T0 + DAY, sealed=True) as house:
        send(r, house, door_of(house), 30)
        house.settle()
        victim = r.choice(sorted(homes(house).values()))
        nodes = {node for node, profile in homes(house).items() if profile == victim}
        facts = "SELECT account, name, node, value FROM account_traits FINAL WHERE name != 'ours' ORDER BY ALL"
        before = house.writer.rows(facts)
        house.declare("erase", "request", {"profile": to_hex(victim), "reason": "tests", "returning": "refuse"})
        house.settle()
        for _ in range(2):
            assert house.writer.rows(facts) == before
            bound = {"nodes": sorted(nodes)}
            told = "SELECT 1 FROM account_traits WHERE name = 'ours' AND node IN {nodes:Array(UInt128)}"
            assert house.writer.rows(told, bound) == []
            assert house.writer.rows("SELECT 1 FROM affiliations WHERE node IN {nodes:Array(UInt128)}", bound) == []
            for account in KEYS:
                members = house.writer.rows(accounts.MEMBERS, {"accounts": [account], "after": 0, "limit": 100})
                assert victim not in {profile for profile, *_ in members}
            live = dump(house)
            house.replay()
            house.settle()
            assert {name: dump(house)[name] for name in TABLES} == {name: live[name] for name in TABLES}
