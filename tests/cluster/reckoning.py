"""The reckoning at the end of a chaos: what was acknowledged, against the log, the tables and the API."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final

import pytest

from eventlog.fences import Fences
from eventlog.port import EventLog
from identity.nodes import profile_id
from schemas import topics
from schemas.clock import system_clock
from schemas.records import decode_transition
from segments.rule import parse_rule
from segments.sql import compile_sql
from tests.cluster.harness import Api, Cluster, opened_log
from tests.e2e.harness import wait_for
from warehouse.client import Warehouse

RULES: Final[dict[str, dict[str, Any]]] = {
    "buyers": {"event": "order.completed", "count": {"gte": 3}, "within": "30d"},
    "known": {"all": [{"trait": "email", "exists": True}, {"segment": "buyers"}]},
    "spenders": {"event": "order.completed", "sum": {"gte": 2}, "of": "revenue"},
}
_STORED: Final = "SELECT profile FROM memberships WHERE segment = {s:String} AND member = 1"
_SHOWN: Final = "SELECT profile FROM views WHERE live AND has(segments, {s:String})"
_COUNTS: Final = """SELECT
    (SELECT count() FROM log_rows), (SELECT uniqExact(part, off) FROM log_rows),
    (SELECT countIf(dup = 0) FROM log_rows), (SELECT countIf(dup = 1) FROM log_rows),
    (SELECT count() FROM events), (SELECT uniqExact(part, off) FROM events),
    (SELECT count() FROM ids), (SELECT uniqExact(key) FROM ids)"""


def declare(api: Api) -> None:
    for name, rule in RULES.items():
        api.post("/v1/segments", {"id": name, "name": name, "rule": rule})
    hook = {"url": "http://127.0.0.1:9/nobody", "secret": "whsec_" + "c2VjcmV0" * 4}
    api.post("/v1/triggers", {"id": "t", "segment": "buyers", "on": ["entered"], "webhook": hook})


def reckon(cluster: Cluster, apis: Sequence[Api], acknowledged: Sequence[dict[str, Any]]) -> int:
    """Fails where an event is lost or counts twice, or a membership is not what a full recompute says.

    Returns how many events count.
    """
    for api in apis:
        _counted_in_views(api, acknowledged)
    warehouse = Warehouse(cluster.bridge.url)
    try:
        with opened_log(cluster) as log:
            counted = _counted_in_tables(log, warehouse, len(acknowledged))
            _segments_equal(log, warehouse, apis)
    finally:
        warehouse.close()
    return counted


def _counted_in_views(api: Api, acknowledged: Iterable[dict[str, Any]]) -> None:
    by_person: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for message in acknowledged:
        by_person[message["userId"]].append(message)
    for person, messages in by_person.items():
        view = api.profile(f"user_id:{person}")
        orders = sum(message["type"] == "track" for message in messages)
        assert view["metrics"]["events"] == len(messages), person
        assert view["metrics"]["orders"] == orders
        assert view["metrics"]["revenue"].get("EUR", 0) == pytest.approx(orders / 10, abs=1e-12)
        latest = max((m for m in messages if m["type"] == "identify"), key=lambda m: m["timestamp"], default=None)
        assert view["traits"].get("latest") == (latest and latest["messageId"])
        expected = {"buyers"} if orders >= 3 else set()
        expected |= {"spenders"} if orders >= 20 else set()
        expected |= {"known"} if orders >= 3 and latest else set()
        assert {segment["id"] for segment in view["segments"]} == expected
        guests = {message["anonymousId"] for message in messages if "anonymousId" in message}
        known = {identity["value"] for identity in view["identities"] if identity["type"] == "anonymous_id"}
        assert known == guests


def _counted_in_tables(log: EventLog, warehouse: Warehouse, acknowledged: int) -> int:
    """Every record of the log has one row, every acknowledged event one that counts."""
    logged = sum(log.ends(topics.EVENTS))
    row = warehouse.writer(1).rows(_COUNTS)[0]
    rows, offsets, unique, copies, events, places, ids, values = row
    assert (rows, offsets, unique + copies) == (logged, logged, logged)
    assert (unique, events, places, ids, values) == (acknowledged,) * 5
    return int(unique)


def _segments_equal(log: EventLog, warehouse: Warehouse, apis: Sequence[Api]) -> None:
    """Every member of every segment: told, stored, shown and answered, against the rule's SQL over all history."""
    rules = {name: parse_rule(rule) for name, rule in RULES.items()}
    writer, told = warehouse.writer(1), _told(log)
    for name, rule in rules.items():
        query = compile_sql(rule, system_clock(), rules.__getitem__)
        full = {row["profile"] for row in warehouse.reader(lambda: 1).rows(query.sql, query.parameters)}
        assert full, f"{name}: the load makes members"
        assert told[name] == full
        assert {row[0] for row in writer.rows(_STORED, {"s": name})} == full
        assert {row[0] for row in writer.rows(_SHOWN, {"s": name})} == full
        for api in apis:
            answered = api.get(f"/v1/segments/{name}/members", limit=1000)["items"]
            assert sorted(item["profile_id"] for item in answered) == sorted(map(profile_id, full))
    deliveries = len(told["buyers"])
    wait_for(
        lambda: len(apis[0].get("/v1/triggers/t/deliveries", limit=1000)["items"]) >= deliveries,
        "some transition has no delivery",
    )


def _told(log: EventLog) -> defaultdict[str, set[int]]:
    """Members as the fold of simorgh.segments; nobody enters twice or leaves without having entered."""
    fences, told, position = Fences(), defaultdict[str, set[int]](set), 0
    twice: Counter[str] = Counter()
    while records := log.read(topics.SEGMENTS, 0, position, 5_000):
        for body in (decode_transition(record.value) for record in records if fences.counts(record.value)):
            members, profile = told[body.segment], int(body.profile, 16)
            if (body.kind == "entered") is (profile in members) and body.cause != "absorbed":
                twice[body.cause] += 1
            (members.add if body.kind == "entered" else members.discard)(profile)
        position = records[-1].offset + 1
    assert not twice, "a transition was told twice"
    return told
