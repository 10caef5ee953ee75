"""Applying one link, merge or split to the state: whether it may join two components, and joining them.

The fold and the refold both play history through these functions, so that they cannot differ.
"""

from collections.abc import Iterable
from typing import Final

from identity.changes import Before
from identity.commands import MergeCommand, SplitCommand
from identity.rules import IdentityRules, Limit
from identity.state import ALONE, State

SHARED: Final = "shared"
SPLIT: Final = "split"
TOO_MANY_NODES: Final = "too_many_nodes"
LIMIT: Final = "limit:"

_ALIAS_OVERRIDES: Final = "user_id"


def play_link(state: State, rules: IdentityRules, entry: int, before: Before) -> str:
    """Joins the ends of a link unless something forbids it. Returns the reason, "" if they are together."""
    a, b = state.evidence.ends(entry)
    if state.nodes.shared[a] or state.nodes.shared[b]:
        reason = SHARED
    elif state.partition.together(a, b):
        reason = ""
    else:
        at = state.evidence.at[entry]
        reason = refusal(state, rules, a, b, at, alias=bool(state.evidence.alias[entry]))
        if reason:
            state.nodes.contested[a] = state.nodes.contested[b] = 1
        else:
            join(state, a, b, at, before)
    state.evidence.set_outcome(entry, reason)
    return reason


def rejoin(state: State, entry: int) -> None:
    """Joins the ends of a link that was accepted, in a region that is played again up to a late link."""
    a, b = state.evidence.ends(entry)
    if not state.partition.together(a, b):
        _unite(state, a, b, state.evidence.at[entry])


def competes(state: State, a: int, b: int) -> bool:
    """Whether it may matter when a link between these nodes was received. Otherwise it is joined as if it were the
    latest.

    It does not matter if no link of their profiles was ever refused, no steward has changed them, and one profile of
    both breaks no limit: then no smaller profile did before, whatever the order of its links.
    """
    members = list(state.partition.members(a))
    if not state.partition.together(a, b):
        members += state.partition.members(b)
    if len(members) > state.most_nodes:
        return True
    nodes, commands = state.nodes, state.commands
    if any(nodes.contested[member] or commands.of(member) for member in members):
        return True
    for type, count in _types(state, members).items():
        most = state.most(type)
        if most is not None and count > most:
            return True
    return False


def join_late(state: State, entry: int, before: Before) -> None:
    """Joins the ends of a link that competes with no other, and notes when they stopped being alone."""
    a, b = state.evidence.ends(entry)
    joined, at = state.nodes.joined, state.evidence.at[entry]
    if not state.partition.together(a, b):
        join(state, a, b, at, before)
    for end in (a, b):
        joined[end] = min(joined[end], at)
    state.evidence.set_outcome(entry, "")


def play_merge(state: State, merge: MergeCommand, before: Before) -> None:
    """Joins the ends of a steward's merge while it is in force, lifting the earlier splits between them."""
    a, b, shared = merge.a, merge.b, state.nodes.shared
    if merge.taken_back or shared[a] or shared[b] or state.partition.together(a, b):
        return
    parting = _parting(state, a, b)
    if _is_parted_later(parting, merge):
        return
    merge.lifts = parting
    for split in merge.lifts:
        split.lifted_by = merge
    join(state, a, b, merge.at, before)


def play_split(state: State, split: SplitCommand, before: Before) -> None:
    """Ties the listed nodes together if their links do not: they leave together."""
    for group in split.groups:
        tied = [node for node in group if not state.nodes.shared[node]]
        for node in tied[1:]:
            if state.partition.together(tied[0], node):
                continue
            if not _is_parted_later(_parting(state, tied[0], node), split):
                join(state, tied[0], node, split.at, before)


def _is_parted_later(parting: list[SplitCommand], command: MergeCommand | SplitCommand) -> bool:
    """Whether a split that came after the command keeps these components apart: a steward's latest decision stays, even
    if a refold plays the earlier command again and finds other nodes around its ends."""
    return any(split.order > command.order for split in parting)


def refusal(state: State, rules: IdentityRules, a: int, b: int, at: int, *, alias: bool) -> str:
    """Why a link may not join two different components, "" if it may. Of several reasons the most informative one
    counts."""
    if state.partition.marks and _parting(state, a, b):
        return SPLIT
    broken = broken_limits(state, rules, a, b, at)
    return next((reason for reason in broken if not (alias and reason == LIMIT + _ALIAS_OVERRIDES)), "")


def broken_limits(state: State, rules: IdentityRules, a: int, b: int, at: int) -> list[str]:
    """The limits that one profile of both components would break, the highest-ranked type first.

    A type counts only if both have nodes of it: a profile over a limit, because of a steward, may still grow in other
    types.
    """
    few, many = (_types(state, state.partition.members(end)) for end in (a, b))
    if len(few) > len(many):
        few, many = many, few
    broken = []
    for type, count in few.items():
        limit = rules.limit(type) if type in many else None
        if limit is not None and count + many[type] > limit.max and _is_broken(state, limit, type, (a, b), at):
            broken.append(type)
    broken.sort(key=rules.rank)
    reasons = [LIMIT + type for type in broken]
    if state.partition.size(a) + state.partition.size(b) > rules.max_nodes:
        reasons.append(TOO_MANY_NODES)
    return reasons


def join(state: State, a: int, b: int, at: int, before: Before) -> None:
    """Makes one profile of two; `at` is when lone ends stop being alone."""
    older, younger = (state.partition.founder(end) for end in (a, b))
    before.note(state.partition.members(younger if older == state.nodes.older(older, younger) else older))
    _unite(state, a, b, at)


def _unite(state: State, a: int, b: int, at: int) -> None:
    partition, nodes = state.partition, state.nodes
    for end in (a, b):
        if partition.size(end) == 1:
            nodes.joined[end] = at
    partition.join(a, b, nodes.older(partition.founder(a), partition.founder(b)))


def _parting(state: State, a: int, b: int) -> list[SplitCommand]:
    marks, root = state.partition.marks, state.partition.root
    return state.commands.parting(marks.get(root[a]), marks.get(root[b]))


def _types(state: State, members: Iterable[int]) -> dict[str, int]:
    """The number of nodes of each type."""
    kind, kinds = state.nodes.kind, state.nodes.kinds
    counts: dict[str, int] = {}
    for member in members:
        type = kinds[kind[member]][0]
        counts[type] = counts.get(type, 0) + 1
    return counts


def _is_broken(state: State, limit: Limit, type: str, ends: tuple[int, int], at: int) -> bool:
    if limit.within_ms is None:
        return True
    since = at - limit.within_ms
    joining, joined = (_joined_since(state, type, node, since) for node in ends)
    return joining > 0 and joined > 0 and joining + joined > limit.max


def _joined_since(state: State, type: str, node: int, since: int) -> int:
    """Nodes of a type that joined others after `since`, or would join them now."""
    nodes = state.nodes
    members = (member for member in state.partition.members(node) if nodes.type(member) == type)
    return sum(nodes.joined[member] == ALONE or nodes.joined[member] > since for member in members)
