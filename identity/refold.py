"""Playing a region of the history again. This reverts merges, links and shared identifiers exactly, and decides a late
link at its place.

A region is closed: no open link and no command leads out of it, except through shared nodes, which join nobody. So
playing its part of the history alone gives the same as playing all of it. History is played in the order of receipt,
with each command at its place in it (`identity.commands`).
"""

from collections import deque
from collections.abc import Iterable

from identity.changes import Before
from identity.commands import Command, MergeCommand
from identity.evidence import JOINED
from identity.joining import SHARED, competes, join_late, play_link, play_merge, play_split, rejoin
from identity.state import ALONE, Order, State


def refold(state: State, seeds: Iterable[int], before: Before) -> None:
    """Plays the regions of `seeds` again under the present shared nodes, commands and constraints."""
    nodes, entries = _region(state, seeds, None)
    _replay(state, nodes, entries, None, before)


def decide_late(state: State, entry: int, before: Before, *, new: bool) -> list[int]:
    """Decides a link that was received before decided ones, and decides again what depends on it. `new`: it was never
    decided, unlike one with a later known receipt. Returns the other links that were accepted and are refused now, by
    receipt.
    """
    a, b = state.evidence.ends(entry)
    if state.nodes.shared[a] or state.nodes.shared[b]:
        state.evidence.set_outcome(entry, SHARED)
        return []
    if not competes(state, a, b):
        join_late(state, entry, before)
        return []
    since = state.order(entry)
    nodes, entries = _region(state, (a, b), since)
    if new and entries[-1] == entry and not _commands_after(state, nodes, entry):
        play_link(state, state.rules_for(entry), entry, before)
        return []
    outcome = state.evidence.outcome
    held = [other for other in entries if other != entry and outcome[other] == JOINED]
    _replay(state, nodes, entries, since, before)
    return [other for other in held if outcome[other] != JOINED]


def _commands_after(state: State, nodes: Iterable[int], entry: int) -> bool:
    receipt = state.evidence.receipt(entry)
    return any(command.after >= receipt for command in state.commands.concerning(nodes))


def _region(state: State, seeds: Iterable[int], since: Order | None) -> tuple[set[int], list[int]]:
    """Nodes and entries that the seeds reach by evidence or command; the entries in the order of receipt.

    `since`: links refused before it stay refused, and lead nowhere. None: any link may be decided differently.
    """
    shared, evidence = state.nodes.shared, state.evidence
    nodes = {node for node in seeds if not shared[node]}
    entries: set[int] = set()
    stack = list(nodes)
    while stack:
        node = stack.pop()
        reached = [other for command in state.commands.of(node) for other in command.nodes()]
        for entry, other in evidence.of(node):
            if not shared[other] and (
                since is None or evidence.outcome[entry] == JOINED or state.order(entry) >= since
            ):
                entries.add(entry)
                reached.append(other)
        for other in reached:
            if other not in nodes and not shared[other]:
                nodes.add(other)
                stack.append(other)
    return nodes, sorted(entries, key=state.order)


def _replay(state: State, nodes: Iterable[int], entries: Iterable[int], since: Order | None, before: Before) -> None:
    """Plays these entries, in this order, and the commands that concern the nodes. Those before `since` all held."""
    before.note(nodes)
    commands = state.commands.concerning(nodes)
    for node in nodes:
        _reset(state, node)
    for command in commands:
        _unlift(command)
    waiting = deque(commands)
    for entry in entries:
        while waiting and waiting[0].after < state.evidence.receipt(entry):
            _play(state, waiting.popleft(), before)
        if since is not None and state.order(entry) < since:
            rejoin(state, entry)
        else:
            play_link(state, state.rules_for(entry), entry, before)
    for command in waiting:
        _play(state, command, before)


def _reset(state: State, node: int) -> None:
    state.partition.reset(node)
    state.nodes.joined[node] = ALONE
    for mark in state.commands.marks_of(node):
        state.partition.mark(node, mark)


def _unlift(command: Command) -> None:
    if isinstance(command, MergeCommand):
        for split in command.lifts:
            split.lifted_by = None
        command.lifts = []


def _play(state: State, command: Command, before: Before) -> None:
    if isinstance(command, MergeCommand):
        play_merge(state, command, before)
    else:
        play_split(state, command, before)
