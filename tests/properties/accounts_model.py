"""Accounts as a plain model: members, traits, branches and money from the set of events, one after the other."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

import orjson

from identity.nodes import from_hex
from producers.door import Refused, Verdict
from schemas.moments import read_moment
from schemas.order import rank
from tests.properties import facts_model

UNASSIGNED: Final = "unassigned"


class Place(NamedTuple):
    """Of a member: since when (rank), role, and the node of whom they report to, 0 for nobody."""

    since: int
    role: str
    superior: int


class Event(NamedTuple):
    at: int
    type: str
    account: str
    node: int
    said: Mapping[str, Any]
    superior: int | None
    key: int


def events(sent: Iterable[Verdict]) -> list[Event]:
    """Unsealed events in the total order, each once."""
    bodies = {verdict[0]: orjson.loads(verdict[1]) for verdict in sent if not isinstance(verdict, Refused)}
    return sorted(map(_event, bodies.values()))


def _event(body: dict[str, Any]) -> Event:
    time, received = read_moment(body["time"]), read_moment(body["received_at"])
    assert time is not None
    assert received is not None
    said, anchors = body["properties"], [one for one in body["identifiers"] if "trust" not in one]
    named = body.get("account", {}).get("reports_to")
    superior = None if named is None else int(named or "0", 16)
    return Event(
        rank(time, received, body["place"], int(body["key"], 16)),
        body["type"],
        str(said.get("group_id") or said.get("account_id") or body["context"].get("groupId") or ""),
        from_hex(anchors[0]["node"]) if anchors else 0,
        said,
        superior,
        int(body["key"], 16),
    )


class Model:
    """`homes`: node -> profile, 0 for nobody."""

    def __init__(self, sent: list[Verdict], homes: Mapping[int, int]) -> None:
        self.members: dict[str, dict[int, Place]] = defaultdict(dict)
        self.traits: dict[str, dict[str, Any]] = defaultdict(dict)
        self.parents: dict[str, str] = {}
        self.money: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
        self.orders: dict[str, int] = defaultdict(int)
        accounts: dict[int, str] = {}
        self.belongs: dict[str, set[int]] = defaultdict(set)
        for event in events(sent):
            profile = homes.get(event.node, 0)
            if event.account:
                self._affiliate(event, profile)
                self._describe(event)
            account = event.account or self._only(profile) or UNASSIGNED
            self.belongs[account].add(event.key)
            accounts[event.key] = account
        for order in facts_model.documents(facts_model.counted(sent)):
            if order.cancelled:
                continue
            if order.placed:
                self.orders[accounts[order.key]] += 1
                self._add(accounts[order.key], "order", order.currency, order.amount)
            for currency, amount in order.refunds():
                self._add(accounts[order.key], "refund", currency, amount)

    def _add(self, account: str, kind: str, currency: str, millionths: int) -> None:
        if currency:
            self.money[account, kind, currency] += Decimal(millionths) / 1_000_000

    def _affiliate(self, event: Event, profile: int) -> None:
        members = self.members[event.account]
        if not profile:
            return
        if event.type == "account.removed_user":
            members.pop(profile, None)
        elif event.type in ("group.joined", "account.added_user"):
            before = members.get(profile, Place(event.at, "", 0))
            role = before.role if "role" not in event.said else event.said["role"] or ""
            superior = before.superior if event.superior is None else event.superior
            members[profile] = Place(before.since, role, superior)

    def _describe(self, event: Event) -> None:
        if event.type not in ("group.joined", "account.updated"):
            return
        self.traits[event.account] |= event.said.get("traits", {})
        if "parent_id" in event.said:
            parent = event.said["parent_id"]
            if not parent:
                self.parents.pop(event.account, None)
            elif event.account not in (parent, *self._above(parent)):
                self.parents[event.account] = parent

    def _above(self, account: str) -> list[str]:
        parent = self.parents.get(account)
        return [] if parent is None else [parent, *self._above(parent)]

    def _only(self, profile: int) -> str | None:
        """The account of somebody who belongs to one."""
        theirs = [account for account, members in self.members.items() if profile and profile in members]
        return theirs[0] if len(theirs) == 1 else None
