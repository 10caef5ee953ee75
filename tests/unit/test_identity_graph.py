"""What the graph tells: decisions, what is known, refusals, commands folded twice, rules that change."""

from typing import Any

import pytest

from identity.graph import IdentityGraph, Refusal
from identity.nodes import to_hex
from identity.receipt import Receipt
from identity.rules import DEFAULT_RULES, IdentityRules, Limit
from schemas.records import Link, Merge, Merged, Parted, RefusedDecision, SharedDecision, Split
from tests import identity_records

DAY = 86_400_000
U1, U2, E1, E2, A1, D1 = range(1, 7)
TYPES = {U1: "user_id", U2: "user_id", E1: "email", E2: "email", A1: "anonymous_id", D1: "device_id"}


def link(*nodes: int, at: int = 10, alias: bool = False) -> Link:
    return identity_records.link([(node, TYPES.get(node, "user_id")) for node in nodes], at, alias=alias)


def knows(graph: IdentityGraph, nodes: list[int], at: int, *, alias: bool = False) -> bool:
    return graph.knows(nodes, Receipt(at), alias=alias)


def merge(command: int, a: int, b: int) -> Merge:
    return identity_records.merge(command, a, b, at=50)


def split(command: int, *nodes: int) -> Split:
    return identity_records.split(command, nodes, at=60)


def refused(a: int, b: int, reason: str) -> RefusedDecision:
    return RefusedDecision(a=to_hex(a), b=to_hex(b), reason=reason)


def merged(survivor: int, absorbed: int, **more: Any) -> Merged:
    return Merged(survivor=to_hex(survivor), absorbed=to_hex(absorbed), **more)


def parted(profile: int, *to: int) -> Parted:
    return Parted(from_=to_hex(profile), to=[to_hex(part) for part in to])


@pytest.fixture
def graph() -> IdentityGraph:
    """Two people: U1 with E1, U2 with E2."""
    graph = IdentityGraph(DEFAULT_RULES)
    graph.fold(link(U1, E1))
    graph.fold(link(U2, E2, at=20))
    return graph


def test_a_birth_moves_the_new_node_and_merges_nobody(graph: IdentityGraph) -> None:
    changes = graph.fold(link(U1, A1, at=30))
    assert (changes.decisions, changes.moved, changes.absorbed) == ([], {A1: U1}, {})
    assert changes.touched == {U1}


def test_a_merge_by_a_link(graph: IdentityGraph) -> None:
    graph.fold(link(A1, at=30))
    changes = graph.fold(link(U1, A1, at=40))
    assert changes.decisions == [merged(U1, A1)]
    assert (changes.moved, changes.absorbed, changes.touched) == ({A1: U1}, {A1: U1}, {A1, U1})
    assert graph.nodes_of(A1) == []
    assert graph.nodes_of(U1) == [U1, E1, A1]


def test_an_earlier_first_sight_is_news_and_moves_the_founding(graph: IdentityGraph) -> None:
    assert knows(graph, [E1], 10)
    assert not knows(graph, [E1], 9)
    changes = graph.fold(link(E1, at=9))
    assert (changes.moved, changes.absorbed) == ({U1: E1, E1: E1}, {U1: E1})
    assert graph.profile_of(U1) == E1
    assert knows(graph, [U1, E1], 10)


def test_known_links(graph: IdentityGraph) -> None:
    assert knows(graph, [], 10)
    assert knows(graph, [U1, E1], 99)
    assert knows(graph, [E1, U1, E1], 99)
    assert not knows(graph, [U1, E2], 99)  # both known, the link is not
    assert not knows(graph, [U1, A1], 99)
    graph.fold(link(U1, E2, at=99))
    assert knows(graph, [U1, E2], 100)  # would be refused again
    assert not knows(graph, [U1, E2], 100, alias=True)  # would not


def test_a_refusal_and_an_alias(graph: IdentityGraph) -> None:
    assert graph.fold(link(U1, U2)).decisions == [refused(U1, U2, "limit:user_id")]
    changes = graph.fold(link(U1, U2, alias=True))
    assert changes.decisions == [merged(U1, U2)]
    assert knows(graph, [U1, U2], 99)
    assert knows(graph, [U1, U2], 99, alias=True)


def test_an_alias_overrides_no_other_limit() -> None:
    rules = IdentityRules(limits={"user_id": Limit(max=1), "email": Limit(max=1)})
    graph = IdentityGraph(rules)
    for record in (link(U1, E1), link(U2, E2)):
        graph.fold(record)
    assert graph.fold(link(U1, U2, at=11)).decisions == [refused(U1, U2, "limit:user_id")]
    assert graph.fold(link(U1, U2, at=11, alias=True)).decisions == [refused(U1, U2, "limit:email")]
    assert knows(graph, [U1, U2], 99)
    assert knows(graph, [U1, U2], 99, alias=True)


def test_refused_links_pass_again_once_their_window_is_over() -> None:
    rules = IdentityRules(limits={"anonymous_id": Limit(max=1, within_days=7)})
    graph = IdentityGraph(rules)
    TYPES[91] = TYPES[92] = "anonymous_id"
    graph.fold(link(U1, 91, at=DAY))
    assert graph.fold(link(U1, 92, at=2 * DAY)).decisions == [refused(U1, 92, "limit:anonymous_id")]
    assert knows(graph, [U1, 92], 8 * DAY - 1)
    assert not knows(graph, [U1, 92], 8 * DAY)
    assert graph.fold(link(U1, 92, at=8 * DAY)).moved == {92: U1}


def test_refusals_are_told_once(graph: IdentityGraph) -> None:
    graph.fold(link(U1, E2, at=30))
    assert graph.fold(link(U1, E2, at=40)).decisions == []  # another writer's copy of the same evidence
    assert graph.refusals(U1) == [Refusal(30, to_hex(U1), to_hex(E2), "limit:user_id")]
    assert graph.refusals(E1) == []
    graph.fold(merge(1, U1, U2))
    assert graph.refusals(U1) == []


def test_a_shared_identifier_gives_back_what_it_joined(graph: IdentityGraph) -> None:
    graph = IdentityGraph(DEFAULT_RULES.model_copy(update={"shared_after": 2}))
    graph.fold(link(D1, at=1))
    for user in (U1, U2):
        graph.fold(link(user, D1))
    assert graph.profile_of(U1) == D1
    changes = graph.fold(link(100, D1, at=30))
    assert changes.decisions == [
        SharedDecision(node=to_hex(D1)),
        refused(100, D1, "shared"),
        parted(D1, U1),
    ]
    assert (changes.moved, changes.absorbed) == ({D1: 0, U1: U1, 100: 100}, {D1: 0})
    assert changes.touched == {D1, U1, 100}
    assert graph.is_shared(D1)
    assert graph.refusals(U1)[0].reason == "shared"
    assert not knows(graph, [101, D1], 40)
    graph.fold(link(101, D1, at=40))
    assert knows(graph, [101, D1], 50)


def test_sharing_lets_in_what_was_refused_because_of_it() -> None:
    graph = IdentityGraph(DEFAULT_RULES.model_copy(update={"shared_after": 2}))
    graph.fold(link(D1, E1))
    graph.fold(link(U1, D1))
    graph.fold(link(U2, E1, at=11))  # refused: E1 is with U1, by the device
    assert graph.profile_of(U2) != graph.profile_of(E1)
    for user in (101, 102):
        graph.fold(link(user, D1, at=12))
    assert graph.profile_of(U2) == graph.profile_of(E1) != graph.profile_of(U1)


def test_a_steward_overrides_limits_and_lifts_splits(graph: IdentityGraph) -> None:
    assert graph.fold(merge(1, U2, U1)).decisions == [merged(U1, U2, overrides=["limit:user_id"])]
    assert graph.fold(split(2, U2, E2)).decisions == [parted(U1, U1, U2)]
    assert graph.fold(link(U1, E2, at=70)).decisions == [refused(U1, E2, "split")]
    assert knows(graph, [U1, E2], 99)
    assert graph.fold(merge(3, U1, E2)).decisions == [merged(U1, U2, overrides=["limit:user_id"], lifts=[2])]
    assert graph.fold(merge(4, U1, U2)).decisions == [refused(U1, U2, "same_profile")]


def test_commands_are_folded_once(graph: IdentityGraph) -> None:
    assert graph.commands == -1
    graph.fold(merge(7, U1, U2))
    graph.fold(split(9, U2, E2))
    assert graph.commands == 9
    for copy in (merge(7, U1, U2), split(9, U1)):
        changes = graph.fold(copy)
        assert (changes.decisions, changes.moved) == ([], {})
    assert graph.profile_of(U1) != graph.profile_of(U2)


@pytest.mark.parametrize("nodes", [(), (U1, E1), (U1, U2), (99,), (U1, 99)])
def test_nothing_to_split(graph: IdentityGraph, nodes: tuple[int, ...]) -> None:
    [decision] = graph.fold(split(1, *nodes)).decisions
    assert isinstance(decision, RefusedDecision)
    assert decision.reason == "nothing_to_split"
    assert graph.commands == 1


def test_a_merge_of_unknown_nodes_is_refused(graph: IdentityGraph) -> None:
    assert graph.fold(merge(1, U1, 99)).decisions == [refused(U1, 99, "unknown")]


def test_new_rules_hold_for_what_follows(graph: IdentityGraph) -> None:
    graph.fold(link(U1, E2, at=30))
    rules = IdentityRules(limits={}, default_limit=None)
    changes = graph.fold(identity_records.rules(2, rules, at=70))
    assert (changes.moved, graph.rules.version) == ({}, 2)
    assert not knows(graph, [U1, E2], 80)
    graph.fold(link(U1, E2, at=80))
    assert graph.profile_of(U2) == U1


def test_unknown_nodes(graph: IdentityGraph) -> None:
    assert (graph.profile_of(99), graph.type_of(99), graph.nodes_of(99), graph.is_shared(99)) == (
        0,
        "",
        [],
        False,
    )
    assert graph.type_of(E1) == "email"


def test_a_hub_is_known_by_each_neighbour() -> None:
    graph = IdentityGraph(IdentityRules(limits={}, default_limit=None, shared_after=None))
    for user in range(1000, 1100):
        graph.fold(link(user, D1))
        graph.fold(link(user, E1))
    assert all(knows(graph, [user, D1, E1], 99) for user in range(1000, 1100))
    assert not knows(graph, [D1, E1], 99)
