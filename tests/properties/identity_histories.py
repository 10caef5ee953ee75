"""Random logs of simorgh.identity, and what a graph says of them: what the laws and the snapshot are tried on."""

from collections.abc import Iterable

from hypothesis import strategies as st

from identity.graph import IdentityGraph, Refusal
from identity.rules import IdentityRules, Limit
from schemas.records import IdentityRecord, Link
from tests import identity_records

TYPES = ("user_id", "email", "anonymous_id", "phone", "device_id")
FREE = IdentityRules(limits={}, default_limit=None, shared_after=None, max_nodes=10**6)
CAPPED = FREE.model_copy(update={"shared_after": 2})
LIMITED = IdentityRules(
    limits={"user_id": Limit(max=1), "anonymous_id": Limit(max=2, within_days=1)},
    default_limit=Limit(max=2),
    shared_after=3,
    max_nodes=6,
)
DAY = 86_400_000

node_numbers = st.integers(min_value=1, max_value=18)


def type_of(node: int) -> str:
    return TYPES[node % len(TYPES)]


def link(nodes: Iterable[int], at: int, alias: bool = False, place: int = 0, key: int = 0) -> Link:
    """`key`: 0 for a record of the first versions, which had no place."""
    named = [(node, type_of(node)) for node in nodes]
    known_place = place if key else None
    return identity_records.link(named, at, alias=alias, place=known_place, key=f"{key:016x}{0:016x}")


@st.composite
def links(draw: st.DrawFn, nodes: st.SearchStrategy[int] = node_numbers) -> Link:
    mentioned = draw(st.lists(nodes, min_size=1, max_size=3, unique=True))
    at = draw(st.integers(min_value=0, max_value=8)) * DAY // 3
    alias, place, key = draw(st.integers(0, 9)) == 0, draw(st.integers(0, 1)), draw(st.integers(0, 2))
    return link(sorted(mentioned, key=LIMITED_RANK.__getitem__), at, alias, place, key)


LIMITED_RANK = {node: (LIMITED.rank(type_of(node)), node) for node in range(1, 40)}


def folded(records: Iterable[IdentityRecord], rules: IdentityRules) -> IdentityGraph:
    graph = IdentityGraph(rules)
    for record in records:
        graph.fold(record)
    return graph


def profiles(graph: IdentityGraph) -> dict[int, int]:
    """node -> profile of all nodes, and a check that both ways of asking agree."""
    found = {node: graph.profile_of(node) for node in range(1, 40) if graph.type_of(node)}
    for profile in set(found.values()) - {0}:
        assert set(graph.nodes_of(profile)) == {node for node, other in found.items() if other == profile}
        assert graph.nodes_of(profile)[0] == profile
    return found


def refusals(graph: IdentityGraph) -> list[list[Refusal]]:
    return [graph.refusals(profile) for profile in sorted(set(profiles(graph).values()) - {0})]


@st.composite
def histories(draw: st.DrawFn, size: int = 30) -> list[IdentityRecord]:
    """Links, merges, splits and changes of rules; splits list nodes of a profile as it is then."""
    records: list[IdentityRecord] = []
    graph = IdentityGraph(LIMITED)
    for command in range(draw(st.integers(0, size))):
        kind = draw(st.sampled_from(["link"] * 7 + ["merge", "split", "split"] + ["rules"] * (command % 9 == 8)))
        record: IdentityRecord
        if kind == "link":
            record = draw(links())
        elif kind == "merge":
            a, b = draw(node_numbers), draw(node_numbers)
            record = identity_records.merge(command, a, b, at=command)
        elif kind == "split":
            members = graph.nodes_of(graph.profile_of(draw(node_numbers))) or [draw(node_numbers)]
            listed = draw(st.lists(st.sampled_from(members), max_size=3, unique=True))
            record = identity_records.split(command, listed, at=command)
        else:
            record = identity_records.rules(command + 2, draw(st.sampled_from([FREE, CAPPED, LIMITED])), at=command)
        graph.fold(record)
        records.append(record)
    return records
