"""The registry on a real log: declare, fold, withdraw, authenticate."""

import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from eventlog.sqlite import SqliteEventLog
from registry.keys import new_token, new_write_key, sha256_hex
from registry.models import Kind, Trigger
from registry.registry import Registry
from registry.scopes import ALL_SCOPES
from registry.snapshot import Declared, Snapshot
from schemas.errors import Conflict, InvalidInput, InvalidSettings, NotFound
from schemas.topics import REGISTRY

NOW = 1_760_000_000_000
RULE = {"trait": "country", "eq": "IR"}
TRIGGER = {
    "segment": "s",
    "on": ["entered"],
    "webhook": {"url": "https://example.com/h", "secret": "whsec_very"},
}


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteEventLog]:
    log = SqliteEventLog(tmp_path / "log.db")
    yield log
    log.close()


@pytest.fixture
def registry(log: SqliteEventLog, clock: Clock) -> Registry:
    return Registry(log, clock)


def test_an_empty_registry(registry: Registry) -> None:
    assert registry.refresh() is False
    assert (dict(registry.sources), dict(registry.tokens), registry.rules, registry.position) == (
        {},
        {},
        None,
        0,
    )


def test_a_source_has_defaults(registry: Registry) -> None:
    assert registry.declare("source", "shop", {"name": "Shop"}, by="cli") == 0
    source = registry.sources["shop"]
    assert (source.channel, source.enabled, source.unplanned, source.allowed_origins) == (
        "web",
        True,
        "accept",
        ("*",),
    )


def test_two_registries_on_one_log_see_each_others_declarations(log: SqliteEventLog, clock: Clock) -> None:
    ours, theirs = Registry(log, clock), Registry(log, clock)
    ours.declare("segment", "a", {"rule": RULE}, by="us")
    assert "a" not in theirs.segments
    assert theirs.refresh() is True
    assert theirs.refresh() is False
    assert theirs.segments == ours.segments
    theirs.declare("segment", "b", {"rule": RULE}, by="them")
    theirs.withdraw("segment", "a", by="them")
    assert ours.refresh()
    assert list(ours.segments) == ["b"]
    assert ours.position == theirs.position == 3


def test_a_restart_folds_to_the_same(log: SqliteEventLog, clock: Clock, registry: Registry) -> None:
    registry.declare("source", "shop", {"write_key_sha256": [sha256_hex("k")]}, by="x")
    registry.declare("segment", "s", {"rule": RULE, "version": 3}, by="x")
    registry.declare("trigger", "t", TRIGGER, by="x")
    registry.declare("token", "tok", {"token_sha256": sha256_hex("t"), "scopes": ["read"]}, by="x")
    registry.declare("rules", "default", {"version": 2}, by="x")
    again = Registry(log, clock)
    again.refresh()
    assert again.sources == registry.sources
    assert again.segments == registry.segments
    assert again.triggers == registry.triggers
    assert again.tokens == registry.tokens
    assert again.rules == registry.rules == {"version": 2}


def test_a_declaration_replaces_the_one_before_and_keeps_its_birth(registry: Registry, clock: Clock) -> None:
    registry.declare("segment", "s", {"rule": RULE, "name": "old"}, by="x")
    clock.now += 5
    registry.declare("segment", "s", {"id": "s", "rule": RULE, "version": 2}, by="x")
    segment = registry.segments["s"]
    assert (segment.name, segment.version, segment.created_at) == ("", 2, NOW)


def test_snapshots_do_not_change(registry: Registry) -> None:
    before = registry.segments
    registry.declare("segment", "s", {"rule": RULE}, by="x")
    assert dict(before) == {}
    with pytest.raises(TypeError):
        registry.segments["t"] = registry.segments["s"]  # type: ignore[index]


def test_withdrawing_what_is_not_there(registry: Registry) -> None:
    kinds: list[Kind] = ["source", "segment", "merge"]
    for kind in kinds:
        with pytest.raises(NotFound):
            registry.withdraw(kind, "nobody", by="x")
    assert registry.position == 0


@pytest.mark.parametrize(
    ("kind", "id", "body", "field"),
    [
        ("source", "shop", {"unplanned": "secretvalue"}, "unplanned"),
        ("source", "shop", {"secretvalue_typo": 1}, "secretvalue_typo"),
        ("source", "Bad Id", {}, "id"),
        ("source", "shop", {"write_key_sha256": ["0" * 64] * 3}, "write_key_sha256"),
        ("source", "shop", {"id": "other"}, "id"),
        ("token", "t", {"token_sha256": "0" * 64, "scopes": ["root"]}, "scopes"),
        ("segment", "s", {}, "rule"),
        ("segment", "S", {"rule": RULE}, "id"),
        ("segment", "s" * 101, {"rule": RULE}, "id"),
        ("segment", "s", {"rule": "secretvalue"}, "rule"),
        ("trigger", "t", {**TRIGGER, "on": []}, "on"),
        ("trigger", "t", {**TRIGGER, "webhook": {"url": "https://x", "secret": ""}}, "webhook.secret"),
        ("rules", "default", {"x": {1, 2}}, "JSON"),
        ("segmnt", "s", {}, "kind"),
    ],
)
def test_what_does_not_fit_is_refused_and_not_appended(
    registry: Registry, kind: Any, id: str, body: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput, match=field) as raised:
        registry.declare(kind, id, body, by="x")
    assert registry.refresh() is False
    assert registry.position == 0
    if field != "secretvalue_typo":
        assert "secretvalue" not in raised.value.message


def test_the_rules_in_force_are_found_once_per_snapshot() -> None:
    first, last = {"version": 1}, {"version": 2}
    assert Snapshot(Declared(), None, None).rules is None
    assert Snapshot(Declared(rules={"a": first, "b": last}), None, None).rules is last


def test_commands_and_rules_go_through_as_they_are(registry: Registry) -> None:
    body = {"a": "0" * 32, "b": "1" * 32, "reason": "same person"}
    assert registry.declare("merge", "m1", body, by="steward") == 0
    assert registry.declare("rules", "r1", {"version": 1}, by="x") == 1
    assert registry.declare("rules", "r2", {"version": 2}, by="x") == 2
    assert registry.declare("rules", "r1", {"version": 3}, by="x") == 3
    assert registry.rules == {"version": 3}
    (offset, record), *rest = registry.records_from(0)
    assert (offset, record.kind, record.op, record.id, record.body, record.at, record.by) == (
        0,
        "merge",
        "put",
        "m1",
        body,
        NOW,
        "steward",
    )
    assert [(o, r.id) for o, r in rest] == [(1, "r1"), (2, "r2"), (3, "r1")]
    assert registry.records_from(4) == []


def test_records_keep_the_format_of_the_topic(registry: Registry, log: SqliteEventLog) -> None:
    registry.declare("source", "shop", {}, by="cli")
    registry.withdraw("source", "shop", by="cli")
    put, delete = log.read(REGISTRY, 0, 0, 9)
    assert put.key == b"source/shop"
    assert set(json.loads(put.value)) == {"kind", "op", "id", "body", "at", "by"}
    assert json.loads(delete.value) == {
        "kind": "source",
        "op": "delete",
        "id": "shop",
        "body": {},
        "at": NOW,
        "by": "cli",
    }


def test_a_record_that_does_not_fit_stops_nothing(
    log: SqliteEventLog, registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    bad = [
        b"not json",
        b"[]",
        b'{"kind":"source"}',
        b'{"kind":"novelty","op":"put","id":"n","at":1,"by":"x"}',
    ]
    bad.append(b'{"kind":"segment","op":"put","id":"s","body":{"rule":"secretvalue"},"at":1,"by":"x"}')
    log.append(REGISTRY, [(b"k", value) for value in bad])
    with caplog.at_level(logging.WARNING):
        registry.declare("source", "shop", {}, by="x")
    assert list(registry.sources) == ["shop"]
    assert registry.segments["s"].rule == {}, "a segment is there without its rule, to be set aside"
    assert registry.position == 6
    assert [offset for offset, _ in registry.records_from(0)] == [3, 4, 5]
    assert "secretvalue" not in caplog.text
    assert "left out" in caplog.text


def test_webhook_secrets_are_kept_and_never_shown(
    registry: Registry, log: SqliteEventLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        registry.declare("trigger", "t", TRIGGER, by="x")
    again = Registry(log, clock)
    again.refresh()
    trigger: Trigger = again.triggers["t"]
    assert trigger.webhook.secret.get_secret_value() == "whsec_very"
    [(_, record)] = again.records_from(0)
    shown = [repr(trigger), str(trigger), str(trigger.model_dump()), trigger.model_dump_json(), repr(record)]
    assert not any("whsec_very" in text for text in [*shown, str(record), caplog.text])


def test_write_keys_find_their_source_through_a_rotation(registry: Registry) -> None:
    old, new = new_write_key(), new_write_key()
    for live, good, bad in [
        ([old], old, new),
        ([old, new], old, "x"),
        ([old, new], new, ""),
        ([new], new, old),
    ]:
        registry.declare("source", "shop", {"write_key_sha256": [sha256_hex(k) for k in live]}, by="x")
        found = registry.authenticate_write_key(good)
        assert found is not None
        assert found.id == "shop"
        assert registry.authenticate_write_key(bad) is None


def test_a_disabled_or_withdrawn_source_lets_nobody_in(registry: Registry) -> None:
    body = {"write_key_sha256": [sha256_hex("k")]}
    registry.declare("source", "shop", {**body, "enabled": False}, by="x")
    assert registry.authenticate_write_key("k") is None
    registry.declare("source", "shop", body, by="x")
    assert registry.authenticate_write_key("k") is not None
    registry.withdraw("source", "shop", by="x")
    assert registry.authenticate_write_key("k") is None


def test_tokens_expire(registry: Registry, clock: Clock) -> None:
    token = new_token()
    body = {"token_sha256": sha256_hex(token), "scopes": ["read", "write"], "expires_at": NOW + 10, "masked": True}
    registry.declare("token", "t", body, by="x")
    found = registry.authenticate_token(token)
    assert found is not None
    assert found.scopes == {"read", "write"}
    assert registry.authenticate_token(token + "x") is None
    clock.now += 10
    assert registry.authenticate_token(token) is None


def test_tokens_made_before_the_scope_personal_have_it(registry: Registry) -> None:
    token = new_token()
    registry.declare("token", "t", {"token_sha256": sha256_hex(token), "scopes": ["read"]}, by="x")
    found = registry.authenticate_token(token)
    assert found is not None
    assert found.scopes == {"read", "personal"}


def test_keys_of_the_environment_hold_and_are_not_written(log: SqliteEventLog, clock: Clock) -> None:
    Registry(log, clock).declare(
        "source", "default", {"channel": "email", "write_key_sha256": [sha256_hex("declared")]}, by="x"
    )
    registry = Registry(log, clock, env_write_key="geheim é 鍵", env_token="t")
    for _ in range(2):
        source, token = registry.authenticate_write_key("geheim é 鍵"), registry.authenticate_token("t")
        assert source is not None
        assert token is not None
        assert (source.id, source.channel, source.unplanned, token.scopes) == (
            "default",
            "web",
            "accept",
            ALL_SCOPES,
        )
        assert registry.sources["default"] == source
        assert registry.tokens["env"] == token
        registry.refresh()
    assert registry.authenticate_write_key("declared") == registry.sources["default"]
    assert registry.authenticate_write_key("t") is None
    assert registry.authenticate_token("geheim é 鍵") is None
    with pytest.raises(Conflict, match="SIMORGH_WRITE_KEY"):
        registry.declare("source", "default", {}, by="x")
    with pytest.raises(Conflict, match="SIMORGH_API_TOKEN"):
        registry.withdraw("token", "env", by="x")
    assert log.ends(REGISTRY) == [1]
    without = Registry(log, clock)
    without.refresh()
    assert without.sources["default"].channel == "email"
    assert without.authenticate_write_key("geheim é 鍵") is None


@pytest.mark.parametrize("value", ["", "x" * 201, "a\nb", "a\x00"])
def test_keys_of_the_environment_are_checked(log: SqliteEventLog, clock: Clock, value: str) -> None:
    both: tuple[dict[str, Any], ...] = ({"env_write_key": value}, {"env_token": value})
    for arguments in both:
        with pytest.raises(InvalidSettings) as raised:
            Registry(log, clock, **arguments)
        assert not value or value not in raised.value.message


def test_threads_that_declare_and_refresh_agree(log: SqliteEventLog, clock: Clock) -> None:
    registries = [Registry(log, clock) for _ in range(4)]

    def declare(number: int) -> None:
        registries[number % 4].declare("segment", f"s{number}", {"rule": RULE}, by="x")
        registries[(number + 1) % 4].refresh()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(declare, range(60)))
    for registry in registries:
        registry.refresh()
        assert set(registry.segments) == {f"s{number}" for number in range(60)}
        assert registry.position == 60
