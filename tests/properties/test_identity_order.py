"""The law of order: who was first is whoever was received first, in whatever order the links reach the topic.

The graph is compared with a plain model (`identity_model`) that sorts all links by receipt and decides them one by one.
"""

import random
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from identity.graph import IdentityGraph
from identity.nodes import to_hex
from identity.receipt import Receipt
from identity.rules import IdentityRules, Limit
from schemas.records import IdentityRecord, Link, Parted, RefusedDecision
from tests.effort import examples
from tests.identity_records import merge as merge_record
from tests.properties.identity_histories import (
    CAPPED,
    DAY,
    FREE,
    LIMITED,
    folded,
    histories,
    link,
    links,
    profiles,
    refusals,
)
from tests.properties.identity_model import Model

ONE_DEVICE = FREE.model_copy(update={"limits": {"user_id": Limit(max=1)}})
A_WEEK = FREE.model_copy(update={"limits": {"anonymous_id": Limit(max=2, within_days=1)}})
SMALL = FREE.model_copy(update={"max_nodes": 3})
FEW = st.sampled_from([1, 4, 5, 6, 10])
"""Nodes that meet again and again: two user ids, two email addresses, a device."""
RULES = [LIMITED, ONE_DEVICE, A_WEEK, SMALL, CAPPED, FREE]


def told(graph: IdentityGraph, profile: int) -> list[tuple[int, int, str, int]]:
    found = graph.refusals(profile)
    return sorted((int(r.a, 16), int(r.b, 16), r.reason, r.received_at) for r in found)


def check(graph: IdentityGraph, model: Model) -> None:
    known = profiles(graph)
    assert known == model.profiles()
    for profile in set(known.values()) - {0}:
        assert told(graph, profile) == model.refusals(profile)


@settings(max_examples=examples(50), deadline=None)
@given(st.sampled_from(RULES), histories(30))
def test_each_state_is_that_of_the_links_so_far_in_the_order_of_receipt(
    rules: IdentityRules, records: list[IdentityRecord]
) -> None:
    graph, model = IdentityGraph(rules), Model(rules)
    for record in records:
        before = model.profiles()
        changes = graph.fold(record)
        model.fold(record)
        check(graph, model)
        now = model.profiles()
        assert changes.moved == {node: profile for node, profile in now.items() if before.get(node) != profile}
        assert changes.left == {node: before.get(node, 0) for node in changes.moved}


@settings(max_examples=examples(50), deadline=None)
@given(st.sampled_from(RULES), histories(30), st.randoms(use_true_random=False))
def test_any_order_of_the_links_between_commands_gives_the_same(
    rules: IdentityRules, records: list[IdentityRecord], rnd: random.Random
) -> None:
    other = _shuffled(records, rnd)
    first, second = folded(records, rules), folded(other, rules)
    assert profiles(first) == profiles(second)
    assert refusals(first) == refusals(second)


def _shuffled(records: Sequence[IdentityRecord], rnd: random.Random) -> list[IdentityRecord]:
    """Links change places, and some come twice, but never across a command or a change of rules."""
    shuffled: list[IdentityRecord] = []
    part: list[IdentityRecord] = []
    for record in [*records, None]:
        if record is not None and isinstance(record, Link):
            part.append(record)
            continue
        copies = rnd.choices(part, k=2) if part else []
        shuffled += rnd.sample([*part, *copies], len(part) + len(copies))
        part = []
        shuffled += [record] if record is not None else []
    return shuffled


@settings(max_examples=examples(33), deadline=None)
@given(st.sampled_from(RULES), st.lists(links(FEW), max_size=25), st.randoms(use_true_random=False))
def test_a_filter_that_asks_first_loses_nobody_who_was_first(
    rules: IdentityRules, records: list[Link], rnd: random.Random
) -> None:
    """Without windows, what `knows` keeps away from the topic would have changed nothing, then or later."""
    if rules.has_windows:
        rules = ONE_DEVICE
    rnd.shuffle(records)
    graph = IdentityGraph(rules)
    for record in records:
        nodes = [int(node, 16) for node, _ in record.nodes]
        if not graph.knows(nodes, Receipt.of(record), alias=record.alias):
            graph.fold(record)
    assert profiles(graph) == profiles(folded(records, rules))


USER, OTHER, DEVICE, EMAIL = 5, 10, 4, 1
"""Numbers of two user ids, a device id and an email address, as `type_of` has it."""


def test_a_late_first_takes_the_device_from_the_second() -> None:
    graph = folded([link([USER], 0), link([OTHER], 0), link([OTHER, DEVICE], 2)], LIMITED)
    assert graph.profile_of(DEVICE) == OTHER
    changes = graph.fold(link([USER, DEVICE], 1))
    assert (changes.moved, changes.left, changes.touched) == ({DEVICE: USER}, {DEVICE: OTHER}, {USER, OTHER})
    assert changes.decisions == [
        RefusedDecision(a=to_hex(OTHER), b=to_hex(DEVICE), reason="limit:user_id"),
        Parted(from_=to_hex(OTHER), to=[to_hex(USER), to_hex(OTHER)]),
    ]


def test_an_earlier_receipt_of_a_known_link_is_news() -> None:
    """All its nodes were seen even earlier; but a competitor may have been received in between, and arrive last."""
    graph = folded([link([node], 0) for node in (USER, OTHER, DEVICE)], LIMITED)
    graph.fold(link([USER, DEVICE], 3))
    assert graph.knows([USER, DEVICE], Receipt(4))
    assert not graph.knows([USER, DEVICE], Receipt(1))
    graph.fold(link([USER, DEVICE], 1))
    assert graph.knows([USER, DEVICE], Receipt(1))
    graph.fold(link([OTHER, DEVICE], 2))
    assert graph.profile_of(OTHER) != graph.profile_of(USER) == graph.profile_of(DEVICE)


def test_the_place_in_a_request_decides_within_a_millisecond_then_the_key() -> None:
    for earlier, later in (((1, 9), (2, 3)), ((1, 3), (1, 9))):
        for order in (1, -1):
            records = [link([USER, DEVICE], 1, False, *earlier), link([OTHER, DEVICE], 1, False, *later)]
            assert folded(records[::order], LIMITED).profile_of(DEVICE) == USER


def test_a_window_counts_from_the_earliest_receipt() -> None:
    """Node 2 is known to belong to the user earlier than was thought, so node 7 finds the window empty."""
    one_a_day = FREE.model_copy(update={"limits": {"anonymous_id": Limit(max=1, within_days=1)}})
    seen = [link([USER, 2], 5 * DAY), link([USER, 2], DAY), link([USER, 7], 5 * DAY + DAY // 2)]
    assert folded(seen, one_a_day).profile_of(7) == USER
    assert folded(seen[::2], one_a_day).profile_of(7) == 7

    hour = DAY // 24
    refused = [link([USER, 2], 5 * DAY), link([USER, 7], 5 * DAY + hour)]
    later = [link([USER, 12], 6 * DAY + 12 * hour), link([USER, 12], 6 * DAY + 8 * hour)]
    last = link([USER, 17], 7 * DAY + 10 * hour)
    assert folded([*refused, *later, last], one_a_day).profile_of(17) == USER
    assert folded([*refused, later[0], last], one_a_day).profile_of(17) == 17


def test_a_link_received_before_a_merge_counts_before_it_wherever_it_stands() -> None:
    """Here two email addresses are the limit: the one received before the merge stays, the one after is refused."""
    merge = merge_record(1, USER, OTHER, at=4 * DAY)
    begun = [link([USER, 1], DAY), link([OTHER, 6], DAY), link([OTHER], 3 * DAY)]
    late, after = link([OTHER, 11], 2 * DAY), link([OTHER, 11], 5 * DAY)
    roomy = LIMITED.model_copy(update={"max_nodes": 10, "limits": {"user_id": Limit(max=1)}})
    expected = profiles(folded([*begun, late, merge], roomy))
    assert profiles(folded([*begun, merge, late], roomy)) == expected
    assert expected[11] == expected[OTHER] == expected[USER]
    assert profiles(folded([*begun, merge, after], roomy))[11] == 11
