"""Playing a region of the history again: how merges, links and shared identifiers are taken back exactly.

A region is closed: no link, refused or not, and no command leads out of it, except through shared nodes,
which join nobody. So playing its part of the log alone, in log order, gives the same as playing the whole
log.
"""

from collections import deque
from collections.abc import Iterable

from identity.changes import Before
from identity.commands import Command, Merge
from identity.joining import play_link, play_merge, play_split
from identity.state import ALONE, State


def refold(state: State, seeds: Iterable[int], before: Before) -> None:
    """Plays the regions of `seeds` again under the shared nodes, commands and constraints of now."""
    region, entries = _region(state, seeds)
    before.note(region)
    commands = state.commands.concerning(region)
    for node in region:
        _reset(state, node)
    for command in commands:
        _unlift(command)
    waiting = deque(commands)
    for entry in entries:
        while waiting and waiting[0].position <= entry:
            _play(state, waiting.popleft(), before)
        play_link(state, state.rules_for(entry), entry, before)
    for command in waiting:
        _play(state, command, before)


def _region(state: State, seeds: Iterable[int]) -> tuple[list[int], list[int]]:
    """Nodes and entries that the seeds reach by any evidence or command, each in order of first mention."""
    shared = state.nodes.shared
    nodes = {node for node in seeds if not shared[node]}
    entries: set[int] = set()
    stack = list(nodes)
    while stack:
        node = stack.pop()
        reached = [other for command in state.commands.of(node) for other in command.nodes()]
        for entry, other in state.evidence.of(node):
            if not shared[other]:
                entries.add(entry)
                reached.append(other)
        for other in reached:
            if other not in nodes and not shared[other]:
                nodes.add(other)
                stack.append(other)
    return sorted(nodes), sorted(entries)


def _reset(state: State, node: int) -> None:
    state.partition.reset(node)
    state.nodes.joined[node] = ALONE
    for mark in state.commands.marks_of(node):
        state.partition.mark(node, mark)


def _unlift(command: Command) -> None:
    if isinstance(command, Merge):
        for split in command.lifts:
            split.lifted_by = None
        command.lifts = []


def _play(state: State, command: Command, before: Before) -> None:
    if isinstance(command, Merge):
        play_merge(state, command, before)
    else:
        play_split(state, command, before)
