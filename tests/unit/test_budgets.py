"""What a source may bring, and who is slowed."""

import json
from typing import Any

import pytest

from identity.nodes import node_of
from producers.budgets import DAY_MS, Budgets, Identifiers, Names
from producers.door import Refused
from producers.incoming import Incoming
from registry.models import UNLIMITED, Budget, Source
from registry.throttle import Throttle, network_of
from schemas.catalog import Catalog
from schemas.errors import InvalidEvent, Throttled
from tests.clients.world import NOW, make_door, make_source


@pytest.fixture
def source() -> Source:
    return make_source()


def budgets(**default: int) -> Budgets:
    return Budgets(Budget(**default), Catalog.load())


def test_events_beyond_the_rate_and_the_burst_wait(source: Source) -> None:
    some = budgets(events_per_second=100)
    some.ask(source, NOW)
    some.take(source, 6_000, 1, NOW)
    with pytest.raises(Throttled) as caught:
        some.ask(source, NOW)
    assert (caught.value.code, caught.value.seconds) == ("budget_events", 1)
    some.ask(source, NOW + 1_000)
    some.take(source, 6_000, 1, NOW + 1_000)
    with pytest.raises(Throttled) as caught:
        some.ask(source, NOW + 1_000)
    assert 58 <= caught.value.seconds <= 61


def test_bytes_of_a_day(source: Source) -> None:
    some = budgets(megabytes_per_day=1)
    some.take(source, 1, 2_000_000, NOW)
    with pytest.raises(Throttled) as caught:
        some.ask(source, NOW)
    assert (caught.value.code, caught.value.seconds) == ("budget_bytes", 3_600)
    some.ask(make_source(id="other"), NOW)


def test_a_sources_own_budget_wins_and_the_operators_work_has_none() -> None:
    some = budgets(names_per_day=1, events_per_second=1)
    generous = make_source(id="own", budget=Budget(names_per_day=0))
    some.names(generous, None, {}, {f"n{n}": 1 for n in range(99)}, NOW)
    operator = make_source(budget=UNLIMITED)
    some.take(operator, 10**9, 1, NOW)
    some.ask(operator, NOW)
    some.names(operator, "custom.x", {}, {"a": 1, "b": 2}, NOW)


def test_new_names_are_refused_and_known_ones_go_on_also_the_next_day() -> None:
    names = Names(3, ["contract"])
    assert names.take({"a": 1, "contract": 1}, {"b": 1})
    assert not names.take(["c", "d"])
    assert names.take(["c"])
    assert not names.take(["d"])
    assert names.take(["a", "b", "c", "contract"])
    names.next_day()
    assert names.take(["x", "y", "z"])
    assert names.take(["a", "b", "c"]), "whoever spends the budget first stops nothing that was there yesterday"
    assert not names.take(["w"])


def test_a_long_name_counts_by_what_it_takes_to_remember_it() -> None:
    assert not Names(100).take(["x" * 32_000])


def test_names_are_bounded_however_many_days_they_are_sent_again() -> None:
    names, all_of_them = Names(10), set[str]()
    for day in range(100):
        fresh = {f"{day}-{n}" for n in range(10)}
        names.take(fresh)
        for known in all_of_them:
            names.take([known])
        all_of_them |= fresh
        names.next_day()
    assert len(names._old) <= 16 * 10 + 10


def test_new_identifiers_are_refused_and_known_ones_go_on() -> None:
    nodes = [node_of(b"sixteen bytes ok", "default", "user_id", str(n)) for n in range(3_000)]
    some = Identifiers(2_000)
    assert all(some.take([node]) for node in nodes[:2_000])
    assert sum(some.take([node]) for node in nodes[2_000:]) < 60, "the filter takes one or two in a hundred for known"
    assert some.take(nodes[:2_000])
    some.next_day()
    assert some.take(nodes[2_000:])
    assert some.take(nodes[:2_000])


@pytest.mark.parametrize(
    ("code", "fields"),
    [
        ("budget_names", {"type": "order.completed", "properties": {"new": 1}}),
        ("budget_names", {"type": "profile.identified", "traits": {"new": 1}}),
        ("budget_types", {"type": "custom.new"}),
        ("budget_identifiers", {"type": "page.viewed", "identifiers": [("user_id", "new")]}),
    ],
)
def test_the_door_rejects_and_keeps_what_is_over_a_budget(code: str, fields: dict[str, Any]) -> None:
    source = make_source(budget=Budget(names_per_day=1, types_per_day=1, identifiers_per_day=1))
    door = make_door(budgets=budgets())
    known: dict[str, Any] = {"properties": {"old": 1}, "identifiers": [("user_id", "old")]}

    def admit(id: str, **of: Any) -> Any:
        return door.admit(Incoming(id=id, source=source, channel="web", received_at=NOW, **of), b"{}")

    assert not isinstance(admit("first", type="custom.old", **known), Refused)
    refused = admit("second", **fields)
    assert isinstance(refused, Refused)
    assert refused.message
    assert refused.code == code
    assert json.loads(refused.message[1])["code"] == code
    assert not isinstance(admit("third", type="custom.old", **known), Refused)


def test_wrong_secrets_are_slowed_and_right_ones_from_the_same_address_are_not() -> None:
    now = NOW
    slow = Throttle(lambda: now, most=3)
    slow.succeeded("right", "1.2.3.4")
    for n in range(3):
        assert slow.wait(f"wrong-{n}", "1.2.3.4") == 0
        slow.failed(f"wrong-{n}", "1.2.3.4")
    assert slow.wait("wrong-9", "1.2.3.4") == 60
    assert slow.wait("right", "1.2.3.4") == 0
    assert slow.wait("another right one", "1.2.3.4") == 60
    assert slow.wait("wrong-9", "4.3.2.1") == 0
    now += 60_000
    assert slow.wait("wrong-9", "1.2.3.4") == 0


def test_secrets_that_begin_alike_are_slowed_from_everywhere_unless_they_are_public() -> None:
    slow = Throttle(lambda: NOW, most=3)
    for n in range(3):
        slow.failed(f"smg_at_abcdefgh_{n}", f"10.0.0.{n}")
    assert slow.wait("smg_at_abcdefgh_9", "10.0.0.9") > 0
    assert slow.wait("smg_at_abcdefgh_9", "10.0.0.9", public=True) == 0


def test_an_ipv6_network_counts_as_one() -> None:
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:1") != network_of("2001:db8:0:1::1")
    assert network_of("::ffff:1.2.3.4") == "1.2.3.4"


def test_the_tables_of_failures_are_bounded() -> None:
    slow = Throttle(lambda: NOW, most=3)
    for n in range(11_000):
        slow.failed("wrong", f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", public=True)
        slow.succeeded("right", str(n))
    assert len(slow._failures) <= 10_000
    assert len(slow._known) <= 10_000


def test_the_day_of_a_source_ends_by_its_requests() -> None:
    some, source = budgets(types_per_day=1), make_source()
    some.names(source, "custom.a", {}, {}, NOW)
    with pytest.raises(InvalidEvent):
        some.names(source, "custom.b", {}, {}, NOW)
    some.take(source, 1, 1, NOW + DAY_MS)
    some.names(source, "custom.b", {}, {}, NOW + DAY_MS)
