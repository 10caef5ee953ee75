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
    refunds: dict[str, int]
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
    refunds: dict[str, int] = {}
    events = list(events)
    for event in events:
        if _anchor(event) in nodes:
            counts[event["type"]] = counts.get(event["type"], 0) + 1
    orders = 0
    for document in documents(events):
        if document.node in nodes and not document.cancelled:
            orders += document.placed
            if document.placed and document.currency:
                revenue[document.currency] = revenue.get(document.currency, 0) + document.amount
            for currency, amount in document.refunds():
                refunds[currency] = refunds.get(currency, 0) + amount
    return Metrics(sum(counts.values()), orders, revenue, refunds, counts)


def documents(events: Iterable[dict[str, Any]]) -> list["Document"]:
    """The orders that these events tell of."""
    found: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        if event["type"] in ORDERS:
            found.setdefault(_document(event), []).append(event)
    return [Document(told) for told in found.values()]


ORDERS = ("order.completed", "order.updated", "order.refunded", "order.cancelled")


def _anchor(event: dict[str, Any]) -> int:
    linked = [one for one in event["identifiers"] if one.get("trust") != "hint"]
    return from_hex(linked[0]["node"]) if linked else 0


def _document(event: dict[str, Any]) -> str:
    told = event.get("business") if event["type"] == "order.completed" else None
    return str(told["key"] if told else event.get("document", event["key"]))


class Document:
    """One order, by the words of docs/orders.md."""

    def __init__(self, told: list[dict[str, Any]]) -> None:
        self._told = told
        placing = self._of("order.completed")
        self.placed = bool(placing)
        self.cancelled = bool(self._of("order.cancelled"))
        first = min(placing or told, key=_order)
        self.node, self.key = _anchor(first), int(first["key"], 16)
        self.amount, self.currency = 0, ""
        changes = placing + self._of("order.updated")
        for event in sorted(changes, key=lambda e: (e["time"], e["received_at"], e["place"], e["key"])):
            if money := event.get("money"):
                self.amount = micros(money["amount"])
                self.currency = money["currency"] or self.currency

    def _of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self._told if event["type"] == kind]

    def refunds(self) -> Iterable[tuple[str, int]]:
        rest, whole = self.amount, False
        for event in self._of("order.refunded"):
            money = event.get("money")
            if money is None:
                whole = True
            elif currency := money["currency"] or self.currency:
                yield currency, micros(money["amount"])
                rest -= micros(money["amount"]) if currency == self.currency else 0
        if whole and self.currency and rest > 0:
            yield self.currency, rest


def shown(writer: Writer) -> dict[int, Metrics]:
    """Of every live profile, as its row says."""
    rows = writer.rows("SELECT profile, events, orders, revenue, refunds, counts FROM profile_rows FINAL WHERE live")
    return {
        profile: Metrics(events, orders, _sums(revenue), _sums(refunds), dict(counts))
        for profile, events, orders, revenue, refunds, counts in rows
    }


def _sums(money: dict[str, Any]) -> dict[str, int]:
    return {name: micros(value) for name, value in money.items()}


def in_rows(writer: Writer, events: Collection[dict[str, Any]]) -> dict[int, Metrics]:
    """What the model says of every profile that the tables know."""
    members: dict[int, set[int]] = {}
    for node, profile in writer.rows("SELECT node, profile FROM identity FINAL WHERE profile != 0"):
        members.setdefault(profile, set()).add(node)
    return {profile: metrics(events, nodes) for profile, nodes in members.items()}
