"""Answers about accounts: what is known of one, its members, its branches."""

from typing import Annotated, Any

from pydantic import BaseModel

from profile_api.masking import ACCOUNT_TRAITS, TRAITS
from profile_api.models.examples import AT, CURSOR, OTHER_ID, PROFILE_ID, with_example
from profile_api.models.profiles import Freshness, IdentityView

_FRESH = {"as_of": AT, "positions": {"simorgh.events": [120, 98]}, "lag_seconds": 0.0}
_METRICS: dict[str, Any] = {
    "events": 31,
    "first_seen": AT,
    "last_seen": AT,
    "orders": 4,
    "revenue": {"EUR": 1250.0},
    "refunds": {},
}


class AccountMetrics(BaseModel):
    """Totals of the events that belong to the account. Money by currency, exact."""

    events: int
    first_seen: str | None
    last_seen: str | None
    orders: int
    revenue: dict[str, float]
    refunds: dict[str, float]


class Account(BaseModel):
    """An account. With `provenance=true` each trait is `{"value", "source", "channel", "time"}`."""

    model_config = with_example(
        {
            "key": "acme",
            "workspace": "default",
            "traits": {"name": "Acme", "industry": "steel"},
            "parent": "acme-holding",
            "branches": ["acme-isfahan"],
            "members": 3,
            "metrics": _METRICS,
            "freshness": _FRESH,
        }
    )
    key: str
    workspace: str
    traits: Annotated[dict[str, Any], ACCOUNT_TRAITS]
    parent: str | None
    branches: list[str]
    members: int
    metrics: AccountMetrics
    freshness: Freshness


class ListedAccount(BaseModel):
    key: str
    traits: Annotated[dict[str, Any], ACCOUNT_TRAITS]
    members: int


class AccountPage(BaseModel):
    model_config = with_example(
        {"items": [{"key": "acme", "traits": {"name": "Acme"}, "members": 3}], "next_cursor": None}
    )
    items: list[ListedAccount]
    next_cursor: str | None


class Member(BaseModel):
    """A person in an account. `reports_to`: the profile of another person; null if nobody is named, or nobody has the
    identifier that was named."""

    profile_id: str
    since: str
    role: str | None
    reports_to: str | None
    traits: Annotated[dict[str, Any], TRAITS]
    identities: list[IdentityView]


class MemberPage(BaseModel):
    model_config = with_example(
        {
            "items": [
                {
                    "profile_id": PROFILE_ID,
                    "since": AT,
                    "role": "buyer",
                    "reports_to": OTHER_ID,
                    "traits": {"email": "sara@example.com"},
                    "identities": [{"type": "user_id", "value": "u42", "first_seen": AT, "last_seen": AT}],
                }
            ],
            "next_cursor": CURSOR,
        }
    )
    items: list[Member]
    next_cursor: str | None


class Branch(BaseModel):
    """An account in the tree. `metrics` are its own, `total` those of it and all its branches."""

    key: str
    name: str | None
    members: int
    metrics: AccountMetrics
    total: AccountMetrics
    branches: list["Branch"]


class RefusedParent(BaseModel):
    """A parent that would have closed a ring."""

    account: str
    parent: str
    at: str


_BRANCH: dict[str, Any] = {
    "key": "acme-isfahan",
    "name": "Acme Isfahan",
    "members": 1,
    "metrics": _METRICS,
    "total": _METRICS,
    "branches": [],
}


class AccountTree(BaseModel):
    """`above`: the account's parent, and so on upwards. `refused`: about these accounts."""

    model_config = with_example(
        {
            "above": ["acme-holding"],
            "tree": {**_BRANCH, "key": "acme", "name": "Acme", "branches": [_BRANCH]},
            "refused": [],
            "freshness": _FRESH,
        }
    )
    above: list[str]
    tree: Branch
    refused: list[RefusedParent]
    freshness: Freshness
