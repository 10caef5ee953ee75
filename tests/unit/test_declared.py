"""What is declared, as every process folds it."""

from pathlib import Path
from typing import Any

import pytest

from eventlog.sqlite import SqliteEventLog
from registry.models import RegistryRecord
from registry.registry import Registry
from schemas.records import Erase, Merge, Rules, Split
from stream_processors.state.declared import Segments, identity_record
from stream_processors.state.live_segments import LiveSegments
from stream_processors.state.touches import BACKFILL, EDITED


def put(name: str, rule: Any, version: int = 1) -> RegistryRecord:
    body = {"id": name, "name": name, "rule": rule, "version": version}
    return RegistryRecord(kind="segment", op="put", id=name, body=body, at=0, by="tests")


def written(segments: Segments) -> dict[str, Any]:
    return {name: (rule.written, version) for name, (rule, version) in segments.live.items()}


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
    for offset, (name, rule) in enumerate(DECLARED):
        assert segments.fold(put(name, rule), offset)
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
    def made(kind: str, **body: Any) -> Merge | Split | Erase | Rules | None:
        return identity_record(RegistryRecord(kind=kind, op="put", id="x", body=body, at=5, by="sara"), 7)

    same = Merge(command=7, a="1", b="2", reason="same", by="sara", at=5)
    assert made("merge", a="1", b="2", reason="same") == same
    assert made("split", nodes=["1"], by="somebody") == Split(command=7, nodes=["1"], reason="", by="sara", at=5)
    assert made("rules", shared_after=3) == Rules(version=8, rules={"shared_after": 3}, at=5)
    assert made("segment", rule=PLAIN) is None


OTHER = {"metric": "events", "gte": 2}


def delete(name: str) -> RegistryRecord:
    return RegistryRecord(kind="segment", op="delete", id=name, at=0, by="tests")


def aside(name: str, offset: int) -> RegistryRecord:
    body = {"offset": offset, "version": 2, "reason": "refused"}
    return RegistryRecord(kind="set_aside", op="put", id=name, body=body, at=0, by="projections")


@pytest.mark.parametrize(
    "rule", [None, {}, {"odd": 1}, {"segment": "nobody"}, {"segment": "s"}, {"trait": "x[", "eq": 1}]
)
def test_what_cannot_be_put_into_effect_leaves_what_is(rule: Any) -> None:
    segments = Segments()
    segments.fold(put("s", PLAIN), 0)
    assert segments.fold(put("s", rule, 2), 1) is None
    assert written(segments) == {"s": (PLAIN, 1)}
    assert (segments.aside["s"].offset, segments.aside["s"].version) == (1, 2)
    assert segments.aside["s"].reason
    assert segments.fold(put("s", OTHER, 3), 2)
    assert (written(segments), segments.aside) == ({"s": (OTHER, 3)}, {})


def test_what_was_set_aside_gives_way_to_what_was_live_before() -> None:
    segments = Segments()
    segments.fold(put("s", PLAIN), 0)
    segments.fold(put("user", {"segment": "s"}), 1)
    segments.fold(put("s", OTHER, 2), 2)
    change = segments.fold(aside("s", 2), 3)
    assert change
    assert (change.cause, change.filled) == (EDITED, ("s", "user"))
    assert written(segments)["s"] == (PLAIN, 1)
    assert segments.aside["s"].reason == "refused"
    assert segments.fold(aside("s", 2), 4) is None  # said twice
    assert segments.fold(delete("s"), 5)
    assert segments.live == {}
    assert segments.aside.keys() == {"user"}


def test_what_was_set_aside_and_never_live_ends_with_its_users() -> None:
    segments = Segments()
    segments.fold(put("s", PLAIN), 0)
    segments.fold(put("user", {"segment": "s"}), 1)
    change = segments.fold(aside("s", 0), 2)
    assert change
    assert (change.cause, change.gone) == (None, ("s", "user"))
    assert segments.live == {}
    assert segments.aside.keys() == {"s", "user"}
    assert segments.fold(aside("s", 0), 3)  # said once more: whoever an earlier version left in it goes
