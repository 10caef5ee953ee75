"""Plays the tables of identity/RULES.md."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import identity.graph
from identity.graph import IdentityGraph
from identity.nodes import node_of
from identity.receipt import Receipt
from identity.rules import DEFAULT_RULES, IdentityRules
from tests.identity_records import link, merge, split

TEXT = (Path(identity.graph.__file__).parent / "RULES.md").read_text(encoding="utf-8")
DAY = 86_400_000
Row = tuple[int, list[str], str]


def tables() -> Iterator[Any]:
    for section in TEXT.split("\n## ")[1:]:
        title = section.partition("\n")[0]
        rules = re.search(r"^Rules: `(.*?)`", section, re.M)
        rows = re.findall(r"^\| (\d+) \| (.*?) \| (.*?) \|$", section, re.M)
        if rows:
            steps = [(int(day), re.findall(r"`(.*?)`", events), then) for day, events, then in rows]
            yield pytest.param(json.loads(rules[1]) if rules else {}, steps, id=title)


class Workspace:
    """A door and a resolver in a few lines: junk filter, anchor first, fold what is not known."""

    def __init__(self, rules: IdentityRules) -> None:
        self.graph = IdentityGraph(rules)
        self.names: dict[int, str] = {}
        self._command = 0
        self._place = 0

    def play(self, day: int, event: str) -> None:
        words = event.split()
        verb = words.pop(0) if words[0] in ("alias", "merge", "split") else "link"
        rules = self.graph.rules
        all_named = [(type, value) for type, _, value in (word.partition(":") for word in words)]
        named = [(type, value) for type, value in all_named if not rules.is_blocked(type, value)]
        named.sort(key=lambda identifier: rules.rank(identifier[0]))
        nodes = [node_of(b"secret", "w", type, value) for type, value in named]
        self.names.update(zip(nodes, (value for _, value in named), strict=True))
        if verb in ("merge", "split"):
            self._steward(verb, day, nodes)
        elif not self.graph.knows(nodes, Receipt(day * DAY, self._place), alias=verb == "alias"):
            typed = [(node, type) for node, (type, _) in zip(nodes, named, strict=True)]
            self.graph.fold(link(typed, at=day * DAY, place=self._place, alias=verb == "alias"))
        self._place += 1

    def _steward(self, verb: str, day: int, nodes: list[int]) -> None:
        at, command = day * DAY, self._command
        self.graph.fold(merge(command, nodes[0], nodes[1], at) if verb == "merge" else split(command, nodes, at))
        self._command += 1

    def profiles(self) -> set[tuple[str, ...]]:
        found = {self.graph.profile_of(node) for node in self.names} - {0}
        nobody = [name for node, name in self.names.items() if not self.graph.profile_of(node)]
        listed = {tuple(self.names[node] for node in self.graph.nodes_of(profile)) for profile in found}
        return listed | ({("nobody", *nobody)} if nobody else set())


def founders_first(profiles: set[tuple[str, ...]]) -> set[tuple[str, frozenset[str]]]:
    return {(names[0], frozenset(names[1:])) for names in profiles}


@pytest.mark.parametrize(("rules", "steps"), list(tables()))
def test_table(rules: dict[str, Any], steps: list[Row]) -> None:
    workspace = Workspace(IdentityRules.parse(DEFAULT_RULES.model_dump(mode="json") | rules))
    for day, events, then in steps:
        for event in events:
            workspace.play(day, event)
        expected = {tuple(profile.split()) for profile in then.split("; ")}
        assert founders_first(workspace.profiles()) == founders_first(expected), f"day {day}"


def test_tables_were_found() -> None:
    assert len(list(tables())) >= 12
