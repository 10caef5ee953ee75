"""One fact counts once: the plain model, from the set of events alone."""

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

import orjson

from identity.nodes import from_hex
from producers.door import Refused, Verdict
from stream_processors.parse.money import micros
from warehouse.client import Writer


class Metrics(NamedTuple):
    events: int
    orders: int
    revenue: dict[str, int]
    counts: dict[str, int]


def counted(verdicts: Iterable[Verdict]) -> list[dict[str, Any]]:
    """The events that count: of each fact, the least telling by trust, receipt, place, key."""
    events = {one["key"]: one for one in map(_envelope, verdicts) if one}
    found: dict[str, dict[str, Any]] = {}
    for event in events.values():
        fact = event.get("business", {}).get("key", event["key"])
        if fact not in found or _order(event) < _order(found[fact]):
            found[fact] = event
    return list(found.values())


def _envelope(verdict: Verdict) -> dict[str, Any] | None:
    return None if isinstance(verdict, Refused) else orjson.loads(verdict[1])


def _order(event: dict[str, Any]) -> tuple[Any, ...]:
    business = event.get("business", {"rank": 0})
    return business["rank"], event["received_at"], event["place"], event["key"]


def metrics(events: Iterable[dict[str, Any]], nodes: Collection[int]) -> Metrics:
    """Of a profile of these nodes."""
    counts: dict[str, int] = {}
    revenue: dict[str, int] = {}
    for event in events:
        linked = [one for one in event["identifiers"] if one.get("trust") != "hint"]
        if not linked or from_hex(linked[0]["node"]) not in nodes:
            continue
        kind, money = event["type"], event.get("money")
        counts[kind] = counts.get(kind, 0) + 1
        if kind == "order.completed" and money and money["currency"]:
            revenue[money["currency"]] = revenue.get(money["currency"], 0) + micros(money["amount"])
    return Metrics(sum(counts.values()), counts.get("order.completed", 0), revenue, counts)


def shown(writer: Writer) -> dict[int, Metrics]:
    """Of every live profile, as its row says."""
    rows = writer.rows("SELECT profile, events, orders, revenue, counts FROM profile_rows FINAL WHERE live")
    return {
        profile: Metrics(events, orders, {name: micros(value) for name, value in revenue.items()}, dict(counts))
        for profile, events, orders, revenue, counts in rows
    }


def in_rows(writer: Writer, events: Collection[dict[str, Any]]) -> dict[int, Metrics]:
    """What the model says of every profile that the tables know."""
    members: dict[int, set[int]] = {}
    for node, profile in writer.rows("SELECT node, profile FROM identity FINAL WHERE profile != 0"):
        members.setdefault(profile, set()).add(node)
    return {profile: metrics(events, nodes) for profile, nodes in members.items()}
