"""What is declared, as every process folds it."""

from pathlib import Path
from typing import Any

import pytest

from eventlog.sqlite import SqliteEventLog
from registry.models import RegistryRecord
from registry.registry import Registry
from stream_processors.cluster.live_segments import LiveSegments
from stream_processors.cluster.touches import BACKFILL, EDITED
from stream_processors.declared import Segments, identity_record

PLAIN = {"metric": "events", "gte": 1}
DECLARED: list[tuple[str, dict[str, Any]]] = [
    ("outer", PLAIN),
    ("other", PLAIN),
    ("middle", PLAIN),
    ("inner", PLAIN),
    ("middle", {"not": {"segment": "inner"}}),  # an earlier one comes to name a later one
    ("outer", {"any": [{"segment": "middle"}, {"segment": "inner"}]}),
    ("inner", {"metric": "events", "gte": 2}),
]


@pytest.mark.parametrize(
    ("segment", "expected"),
    [("inner", ("inner", "middle", "outer")), ("middle", ("middle", "outer")), ("other", ("other",))],
)
def test_the_users_of_a_segment_come_after_what_they_name(segment: str, expected: tuple[str, ...]) -> None:
    segments = Segments()
    for name, rule in DECLARED:
        body = {"id": name, "name": name, "rule": rule}
        assert segments.fold(RegistryRecord(kind="segment", op="put", id=name, body=body, at=0, by="tests"))
    assert segments.with_users(segment) == expected


def test_on_a_cluster_they_are_filled_in_that_order(tmp_path: Path) -> None:
    log = SqliteEventLog(tmp_path / "log.sqlite", partitions=1)
    registry = Registry(log, lambda: 0)
    for name, rule in DECLARED:
        registry.declare("segment", name, {"id": name, "name": name, "rule": rule}, "tests")
    _, changes = LiveSegments(log).read_on()
    assert [(change.segment, change.cause, change.filled) for change in changes] == [
        ("outer", BACKFILL, ("outer",)),
        ("other", BACKFILL, ("other",)),
        ("middle", BACKFILL, ("middle",)),
        ("inner", BACKFILL, ("inner",)),
        ("middle", EDITED, ("middle",)),
        ("outer", EDITED, ("outer",)),
        ("inner", EDITED, ("inner", "middle", "outer")),
    ]
    log.close()


def test_what_is_for_identity_comes_to_one_record() -> None:
    def made(kind: str, **body: Any) -> dict[str, Any] | None:
        return identity_record(RegistryRecord(kind=kind, op="put", id="x", body=body, at=5, by="sara"), 7)

    assert made("merge", a="1", b="2", reason="same") == {
        "kind": "merge", "command": 7, "a": "1", "b": "2", "reason": "same", "by": "sara", "at": 5,
    }  # fmt: skip
    assert made("rules", shared_after=3) == {"kind": "rules", "version": 8, "rules": {"shared_after": 3}, "at": 5}
    assert made("segment", rule=PLAIN) is None
