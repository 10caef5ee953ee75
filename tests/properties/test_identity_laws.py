"""The laws of identity, on random logs: order-free, founders, determinism, merge–split, refold."""

import random
from collections.abc import Iterable
from dataclasses import replace

import networkx
from hypothesis import given, settings
from hypothesis import strategies as st

from identity.changes import Before
from identity.graph import IdentityGraph
from identity.receipt import Receipt
from identity.refold import refold
from identity.rules import IdentityRules
from schemas.records import IdentityRecord, Link, Parted, RefusedDecision
from tests import identity_records
from tests.effort import examples
from tests.identity_records import merge, split
from tests.properties.identity_histories import (
    CAPPED,
    DAY,
    FREE,
    LIMITED,
    folded,
    histories,
    link,
    links,
    node_numbers,
    profiles,
    refusals,
    type_of,
)


def mentioned(records: Iterable[Link]) -> list[list[int]]:
    return [[int(node, 16) for node, _ in record.nodes] for record in records]


@settings(max_examples=examples(37), deadline=None)
@given(st.lists(links(), max_size=25), st.randoms(use_true_random=False))
def test_without_limits_the_order_and_copies_of_links_mean_nothing(records: list[Link], rnd: random.Random) -> None:
    shuffled = records + rnd.choices(records, k=5) if records else []
    rnd.shuffle(shuffled)
    for rules in (FREE, CAPPED):
        assert profiles(folded(records, rules)) == profiles(folded(shuffled, rules))


@settings(max_examples=examples(37), deadline=None)
@given(st.lists(links(), max_size=25))
def test_without_limits_profiles_are_connected_components(records: list[Link]) -> None:
    for rules in (FREE, CAPPED):
        oracle: networkx.Graph[int] = networkx.Graph()
        births: dict[int, int] = {}
        for record, nodes in zip(records, mentioned(records), strict=True):
            oracle.add_nodes_from(nodes)
            oracle.add_edges_from((nodes[0], other) for other in nodes[1:])
            births.update({node: min(record.received_at, births.get(node, 10**18)) for node in nodes})
        shared = {node for node in oracle if _is_shared(oracle, node, rules)}
        oracle.remove_nodes_from(shared)
        expected = dict.fromkeys(shared, 0)
        for component in networkx.connected_components(oracle):
            founder = min(component, key=lambda n: (births[n], rules.rank(type_of(n)), n))
            expected.update(dict.fromkeys(component, founder))
        graph = folded(records, rules)
        assert profiles(graph) == expected
        assert {node for node in expected if graph.is_shared(node)} == shared


def _is_shared(oracle: "networkx.Graph[int]", node: int, rules: IdentityRules) -> bool:
    neighbours = [type_of(other) for other in oracle.neighbors(node)]
    counts = [neighbours.count(person) for person in rules.counts_for(type_of(node))]
    return rules.shared_after is not None and max(counts, default=0) > rules.shared_after


@settings(max_examples=examples(50), deadline=None)
@given(histories())
def test_the_same_log_gives_the_same_decisions_and_ids(records: list[IdentityRecord]) -> None:
    first, second = IdentityGraph(LIMITED), IdentityGraph(LIMITED)
    for record in records:
        changes = first.fold(record)
        assert second.fold(record) == changes
    assert profiles(first) == profiles(second)


@settings(max_examples=examples(50), deadline=None)
@given(histories())
def test_changes_tell_exactly_what_changed(records: list[IdentityRecord]) -> None:
    graph = IdentityGraph(LIMITED)
    known: dict[int, int] = {}
    for record in records:
        changes = graph.fold(record)
        now = profiles(graph)
        moved = {node: profile for node, profile in now.items() if known.get(node) != profile}
        assert changes.moved == moved
        gone = (set(known.values()) - {0}) - set(now.values())
        assert changes.absorbed == {profile: now[profile] for profile in gone}
        assert changes.touched == {p for n in moved for p in (now[n], known.get(n, 0)) if p}
        known = now


@settings(max_examples=examples(50), deadline=None)
@given(histories())
def test_every_state_is_the_refold_of_its_history(records: list[IdentityRecord]) -> None:
    graph = IdentityGraph(LIMITED)
    for record in records:
        graph.fold(record)
        known, told = profiles(graph), refusals(graph)
        state = graph.state
        refold(state, range(len(state.nodes.ids)), before := Before(state))
        assert before.changes([]).moved == {}
        assert (profiles(graph), refusals(graph)) == (known, told)


@settings(max_examples=examples(50), deadline=None)
@given(histories())
def test_what_is_known_would_change_nothing(records: list[IdentityRecord]) -> None:
    graph = IdentityGraph(LIMITED)
    for record in records:
        graph.fold(record)
    for record in [r for r in records if isinstance(r, Link)]:
        nodes = [int(node, 16) for node, _ in record.nodes]
        alias = record.alias
        if graph.knows(nodes, Receipt.of(record), alias=alias):
            assert graph.fold(record).moved == {}
        else:
            graph.fold(record)
            assert graph.knows(nodes, Receipt.of(record), alias=alias)


def test_after_a_split_its_nodes_are_together_and_apart_from_the_rest() -> None:
    @settings(max_examples=examples(50), deadline=None)
    @given(histories(), node_numbers, st.lists(node_numbers, min_size=1, max_size=4))
    def check(records: list[IdentityRecord], node: int, wanted: list[int]) -> None:
        graph = folded(records, LIMITED)
        members = graph.nodes_of(graph.profile_of(node))
        listed = sorted(set(wanted) & set(members))
        if not listed or len(listed) == len(members):
            return
        changes = graph.fold(split(1000, listed, at=0))
        assert any(isinstance(decision, Parted) for decision in changes.decisions)
        aside = {graph.profile_of(n) for n in listed}
        assert len(aside) == 1
        assert aside.isdisjoint(graph.profile_of(n) for n in members if n not in listed)
        for at in range(20):  # and no link joins them again
            graph.fold(link([random.Random(at).choice(listed), random.Random(at).choice(members)], at * DAY))
        assert {graph.profile_of(n) for n in listed}.isdisjoint(graph.profile_of(n) for n in members if n not in listed)

    check()


def test_an_earlier_merge_does_not_undo_a_later_split() -> None:
    types = {
        1: "email",
        2: "anonymous_id",
        3: "phone",
        4: "device_id",
        5: "user_id",
        6: "email",
        8: "phone",
        18: "phone",
    }
    seen = [(1, 6, 4), (3, 18), (5, 3, 8), (1, 2, 3)]
    records = [identity_records.link([(n, types[n]) for n in nodes], at=0, alias=True) for nodes in seen]
    graph = folded([*records, merge(1, 1, 8, at=1)], LIMITED)
    graph.fold(split(2, [3], at=2))
    assert graph.profile_of(3) not in {graph.profile_of(5), graph.profile_of(18)}


def test_a_split_ties_nobody_whom_links_hold_together() -> None:
    """They part like any others when the device between them turns out to be shared."""
    seen = [link([4, 8, 18], 0, alias=True)]
    graph, never = folded([link([4], 0), link([19], 0)], CAPPED), folded([link([4], 0), link([19], 0), *seen], CAPPED)
    graph.fold(merge(1, 4, 19, at=1))
    graph.fold(seen[0])
    graph.fold(split(2, [4, 8, 18], at=2))
    assert profiles(graph) == profiles(never)
    third = link([4, 3], 0, alias=True)
    assert graph.fold(third) == never.fold(third)
    assert profiles(graph) == profiles(never) == {3: 3, 4: 0, 8: 8, 18: 18, 19: 19}


LEFT, RIGHT = range(1, 19), range(19, 37)
one_side = st.one_of(links(st.sampled_from(LEFT)), links(st.sampled_from(RIGHT)))


@settings(max_examples=examples(75), deadline=None)
@given(
    st.sampled_from([LIMITED, CAPPED, FREE]),
    st.lists(one_side, max_size=20),
    st.tuples(st.sampled_from(LEFT), st.sampled_from(RIGHT)),
    st.lists(one_side, max_size=20),
    st.lists(one_side, max_size=8),
)
def test_a_split_takes_a_merge_back_as_if_it_had_never_been(
    rules: IdentityRules, first: list[Link], ends: tuple[int, int], then: list[Link], after: list[Link]
) -> None:
    first = [link([ends[0]], 0), link([ends[1]], 0), *first]
    graph, never = folded(first, rules), folded(first + then, rules)
    graph.fold(merge(1, *ends, at=1))
    for record in then:
        graph.fold(record)
    profile = graph.nodes_of(graph.profile_of(ends[0]))
    listed = [node for node in profile if node in LEFT]
    if not listed or len(listed) == len(profile):  # an end became shared since
        return
    if len({never.profile_of(node) for node in listed}) != 1:  # then the tie of the split differs, as it says
        return
    graph.fold(split(2, listed, at=2))
    assert profiles(graph) == profiles(never)
    for record in after:
        told, expected = graph.fold(record), never.fold(record)
        decided = [one for one in told.decisions if one in expected.decisions or not isinstance(one, RefusedDecision)]
        # A link that stands before and after a command counts twice, and its refusal is told twice.
        assert replace(told, decisions=decided) == expected
    assert (profiles(graph), refusals(graph)) == (profiles(never), refusals(never))
