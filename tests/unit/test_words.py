"""One word for one thing: no public class name is defined in two files."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("schemas", "eventlog", "privacy", "registry", "identity", "segments", "producers", "warehouse", "destinations",
         "stream_processors", "profile_api", "simorgh")  # fmt: skip

DEFINED_TWICE = {
    "Envelope": "stream_processors: ParsedEnvelope",
    "Identifier": "stream_processors: ParsedIdentifier",
    "Owner": "host/faust_app.py: LaneOwner",
    "Source": "stream_processors/host: RecordSource",
    "Stage": "stream_processors/flow/topology.py: TopologyStage",
    "Touch": "one class: the record's",
    "Transition": "one class: the record's",
}
"""Names with more than one meaning today -> the name that one of them should get. This list only gets shorter."""


def definitions() -> dict[str, list[str]]:
    """Each public class name -> the files that define it."""
    found: dict[str, list[str]] = defaultdict(list)
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    found[node.name].append(str(path.relative_to(ROOT)))
    return found


def test_no_public_class_name_is_defined_twice() -> None:
    twice = {name: files for name, files in definitions().items() if len(files) > 1}
    more = {name: files for name, files in twice.items() if name not in DEFINED_TWICE}
    assert not more, f"wanted one class of each name, got several; rename one: {more}"
    assert not set(DEFINED_TWICE) - set(twice), "defined once now, so remove it from the list"
