"""Accounts: what is known of one, its events, its members, its branches. Totals are queries (`warehouse.accounts`)."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, Final

import orjson
from fastapi import Path, Query

from identity.nodes import profile_id
from profile_api import people, permits, views
from profile_api.auth import scope
from profile_api.branches import Branches, Said, folded
from profile_api.call import note
from profile_api.cursors import read_cursor, write_cursor
from profile_api.deps import ApiDeps, Deps
from profile_api.models.accounts import Account, AccountPage, AccountTree, MemberPage
from profile_api.models.examples import example
from profile_api.models.profiles import EventPage
from profile_api.params import Cursor, Limit, PathText
from profile_api.permits import ForPurpose
from profile_api.places import views_of
from profile_api.profiles import END_OF_TIME, names_of
from profile_api.replies import JsonReply, page
from profile_api.routes import guarded
from profile_api.status import freshness
from profile_api.turns import reads_much
from registry.scopes import READ
from schemas import accounts as contract
from schemas.clock import iso
from schemas.digits import ascii_digits, trim
from schemas.errors import InvalidInput, NotFound
from schemas.order import time_of
from warehouse import accounts

MOST_BRANCHES: Final = 1_000
"""Accounts that one answer looks at, to find what is above and below one."""
MOST_LEVELS: Final = 100
"""Of a tree: the JSON of one that is deeper would nest deeper than it can be written."""
_MOST_SAID: Final = 20_000

Row = Mapping[str, Any]


@dataclass(slots=True)
class Totals:
    """Sums of events that count. Times in ms."""

    events: int = 0
    orders: int = 0
    first: int | None = None
    last: int | None = None
    revenue: dict[str, Decimal] = field(default_factory=dict)
    refunds: dict[str, Decimal] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        """A row of `accounts.TOTALS` or `accounts.MONEY`."""
        if "events" in row:
            self.events += row["events"]
            self.first = row["first_ms"] if self.first is None else min(self.first, row["first_ms"])
            self.last = row["last_ms"] if self.last is None else max(self.last, row["last_ms"])
            return
        if row["kind"] == "order":
            self.orders += row["times"]
        if row["currency"]:
            sums = self.revenue if row["kind"] == "order" else self.refunds
            sums[row["currency"]] = sums.get(row["currency"], Decimal(0)) + row["total"]

    def view(self) -> dict[str, Any]:
        return {
            "events": self.events,
            "first_seen": None if self.first is None else iso(self.first),
            "last_seen": None if self.last is None else iso(self.last),
            "orders": self.orders,
            "revenue": self.revenue,
            "refunds": self.refunds,
        }


def key_of(deps: ApiDeps, text: str) -> str:
    """The key of an account that exists. Raises `NotFound`."""
    key = ascii_digits(trim(text))
    note(target=key[: contract.MAX_KEY])
    if not deps.reader.look_up(accounts.EXISTS, {"account": key})[0]["known"]:
        raise people.rebuilding(deps) or NotFound(
            "account key: wanted the key of an account, got one that no event names; if its event was just sent, see"
            " lag_events of /v1/status"
        )
    return key


def totals_of(deps: ApiDeps, keys: Collection[str]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {key: [] for key in keys}
    for sql in (accounts.TOTALS, accounts.MONEY):
        for row in deps.reader.rows(sql, {"accounts": sorted(keys)}):
            found[row["account"]].append(row)
    return found


def summed(rows: Iterable[Row]) -> Totals:
    totals = Totals()
    for row in rows:
        totals.add(row)
    return totals


def headcounts(deps: ApiDeps, keys: Collection[str]) -> dict[str, int]:
    rows = deps.reader.rows(accounts.HEADCOUNT, {"accounts": sorted(keys)})
    return {row["account"]: row["members"] for row in rows}


def traits_of(deps: ApiDeps, keys: Collection[str], *, provenance: bool = False) -> dict[str, dict[str, Any]]:
    """The traits of some accounts by name, in alphabetical order."""
    found: dict[str, dict[str, Any]] = {key: {} for key in keys}
    rows = deps.reader.rows(accounts.TRAITS, {"accounts": sorted(keys)})
    for row in sorted(rows, key=lambda row: row["name"]):
        value = orjson.loads(row["text"])
        if provenance:
            value = {"value": value, "source": row["said_by"], "channel": row["by_channel"], "time": iso(row["ms"])}
        found[row["account"]][row["name"]] = value
    return found


def branches_around(deps: ApiDeps, key: str) -> Branches:
    """The branches of everything that is connected with an account. Raises `InvalidInput` (code `query_too_large`) for
    more than `MOST_BRANCHES` accounts."""
    known, waiting, said = {key}, {key}, set[Said]()
    while waiting:
        rows = deps.reader.rows(accounts.PARENTS, {"accounts": sorted(waiting), "limit": _MOST_SAID + 1})
        said.update(Said(row["ver"], row["account"], row["parent"]) for row in rows)
        waiting = {name for one in said for name in (one.account, one.parent) if name} - known
        known |= waiting
        if len(known) > MOST_BRANCHES or len(said) > _MOST_SAID:
            raise InvalidInput(
                f"account tree: wanted at most {MOST_BRANCHES} accounts above and below each other, got more; read them"
                " from the table account_parents",
                code="query_too_large",
            )
    return folded(said)


def account_view(deps: ApiDeps, key: str, *, provenance: bool) -> dict[str, Any]:
    fresh = freshness(deps)  # before the rows: they hold at least this much
    branches = branches_around(deps, key)
    return {
        "key": key,
        "workspace": deps.workspace,
        "traits": traits_of(deps, [key], provenance=provenance)[key],
        "parent": branches.parents.get(key),
        "branches": branches.below().get(key, []),
        "members": headcounts(deps, [key]).get(key, 0),
        "metrics": summed(totals_of(deps, [key])[key]).view(),
        "freshness": fresh,
    }


def tree(deps: ApiDeps, key: str) -> dict[str, Any]:
    fresh = freshness(deps)
    branches = branches_around(deps, key)
    below = branches.below()
    keys = list(_with_branches(key, below))
    rows, members, traits = totals_of(deps, keys), headcounts(deps, keys), traits_of(deps, keys)

    made: dict[str, dict[str, Any]] = {}
    whole: dict[str, list[Row]] = {}
    for one in reversed(keys):  # branches before what is above them
        inner = below.get(one, [])
        whole[one] = [*rows[one], *(row for branch in inner for row in whole.pop(branch))]
        name = traits[one].get("name")
        made[one] = {
            "key": one,
            "name": name if isinstance(name, str) else None,
            "members": members.get(one, 0),
            "metrics": summed(rows[one]).view(),
            "total": summed(whole[one]).view(),
            "branches": [made[branch] for branch in inner],
        }
    about = {*keys, *branches.above(key)}
    refused = [
        {"account": one.account, "parent": one.parent, "at": iso(time_of(one.ver))}
        for one in branches.refused
        if one.account in about
    ]
    return {"above": list(branches.above(key)), "tree": made[key], "refused": refused, "freshness": fresh}


def _with_branches(key: str, below: Mapping[str, Sequence[str]]) -> Iterable[str]:
    """The account and everything below it, each after what it is a branch of. Raises `InvalidInput` (code
    `query_too_large`) for more than `MOST_LEVELS`."""
    waiting = [(key, 1)]
    while waiting:
        one, level = waiting.pop()
        if level > MOST_LEVELS:
            raise InvalidInput(
                f"account tree: wanted at most {MOST_LEVELS} levels, got more; ask for the tree of an account below",
                code="query_too_large",
            )
        yield one
        waiting += [(branch, level + 1) for branch in below.get(one, [])]


def members(deps: ApiDeps, key: str, limit: int, cursor: str | None, purpose: str | None) -> dict[str, Any]:
    """A page of an account's members, by profile id. Under a purpose it is without those who do not allow it."""
    people.require_everybody(deps)
    after = read_cursor(deps.secret, "account members", cursor, (int,))[0] if cursor else 0
    rows = deps.reader.rows(accounts.MEMBERS, {"accounts": [key], "after": after, "limit": limit + 1})
    shown = rows[:limit]
    following = write_cursor(deps.secret, "account members", [shown[-1]["profile"]]) if len(rows) > limit else None
    full = people.rows_of(deps, [row["profile"] for row in shown])
    items = [
        {
            "profile_id": profile_id(row["profile"]),
            **place,
            "traits": person["traits"],
            "identities": views.identities(person["identifiers"]),
        }
        for row, place in zip(shown, views_of(deps, shown), strict=True)
        if (person := full.get(row["profile"])) is not None
        and (purpose is None or permits.is_allowed(deps, person, purpose))
    ]
    return page(items, following)


def timeline(deps: ApiDeps, key: str, limit: int, cursor: str | None, kind: str) -> dict[str, Any]:
    """A page of the events that belong to an account, newest first in the total order of events."""
    people.require_everybody(deps)
    after = read_cursor(deps.secret, "account timeline", cursor, (int, int, int, int)) if cursor else END_OF_TIME
    bounds = dict(zip(("ms", "received", "place", "key"), after, strict=True))
    rows = deps.reader.rows(accounts.TIMELINE, {"accounts": [key], "type": kind, "limit": limit + 1, **bounds})
    shown = rows[:limit]
    last = [shown[-1][name] for name in ("ms", "received_ms", "place", "key")] if len(rows) > limit else None
    following = write_cursor(deps.secret, "account timeline", last) if last else None
    names = names_of(deps.reader, [node for row in shown for node in views.nodes_of(row["payload"])])
    note(profiles=deps.views.owners(row["node"] for row in shown if row["node"]).values())
    return page([views.told_view(row["payload"], names, counts=not row["retold"]) for row in shown], following)


routes = guarded("accounts", "/v1/accounts")


@routes.get("", response_model=AccountPage, responses=example(AccountPage))
@scope(READ)
@reads_much
def list_accounts(
    deps: Deps,
    search: Annotated[
        str, Query(max_length=contract.MAX_KEY, description="The beginning of a key.", examples=["acme"])
    ] = "",
    limit: Limit = 50,
    cursor: Cursor = None,
) -> JsonReply:
    """List the accounts that events name, by key."""
    people.require_everybody(deps)
    after = read_cursor(deps.secret, "accounts", cursor, (str,))[0] if cursor else ""
    rows = deps.reader.rows(accounts.LIST, {"after": after, "beginning": search, "limit": limit + 1})
    keys = [row["account"] for row in rows[:limit]]
    following = write_cursor(deps.secret, "accounts", [keys[-1]]) if len(rows) > limit else None
    traits, members = traits_of(deps, keys), headcounts(deps, keys)
    items = [{"key": key, "traits": traits[key], "members": members.get(key, 0)} for key in keys]
    return JsonReply(page(items, following))


AccountKey = Annotated[
    PathText,
    Path(description="The sender's own id of the account, percent-encoded if necessary.", examples=["acme"]),
]


@routes.get("/{key:path}/timeline", response_model=EventPage, responses=example(EventPage))
@scope(READ)
@reads_much
def account_timeline(
    deps: Deps,
    key: AccountKey,
    kind: Annotated[
        str,
        Query(alias="type", max_length=200, description="Only this event type.", examples=["order.completed"]),
    ] = "",
    limit: Limit = 50,
    cursor: Cursor = None,
) -> JsonReply:
    """List the events that belong to an account, newest first: those that name it, and those of people who belonged to
    it alone, and that name no account."""
    return JsonReply(timeline(deps, key_of(deps, key), limit, cursor, kind))


@routes.get("/{key:path}/members", response_model=MemberPage, responses=example(MemberPage))
@scope(READ)
@reads_much
def account_members(
    deps: Deps, key: AccountKey, purpose: ForPurpose = None, limit: Limit = 50, cursor: Cursor = None
) -> JsonReply:
    """List the people who belong to an account, with their roles and whom they report to. Under a purpose, those who do
    not allow it are left out."""
    checked = permits.checked(deps, purpose)
    return JsonReply(members(deps, key_of(deps, key), limit, cursor, checked))


@routes.get("/{key:path}/tree", response_model=AccountTree, responses=example(AccountTree))
@scope(READ)
@reads_much
def account_tree(deps: Deps, key: AccountKey) -> JsonReply:
    """Return the branches of an account, with their totals, and what is above it."""
    return JsonReply(tree(deps, key_of(deps, key)))


@routes.get("/{key:path}", response_model=Account, responses=example(Account))
@scope(READ)
@reads_much
def account(
    deps: Deps,
    key: AccountKey,
    provenance: Annotated[bool, Query(description="Add source, channel and time to each trait.")] = False,
) -> JsonReply:
    """Return what is known of an account: its traits, its parent and branches, its totals."""
    return JsonReply(account_view(deps, key_of(deps, key), provenance=provenance))
