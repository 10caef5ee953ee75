"""Accounts: organisations, and which events name one, tell of one, or say who belongs to one.

An account's key is the sender's own id of it: text, in a keyspace of its own. It is never an identifier of a person,
since all people of a firm would become one. `docs/accounts.md` defines what follows.
"""

from collections.abc import Mapping
from typing import Final

MAX_KEY: Final = 200

IDENTIFIER: Final = "account"
"""As a type of identifier it names the event's account, and nobody."""
CONTEXT: Final = "group_id"
"""The member of a context that names the account of any event: Segment's `context.groupId`."""

GROUP: Final = "group.joined"
CREATED: Final = "account.created"
UPDATED: Final = "account.updated"
ADDED: Final = "account.added_user"
REMOVED: Final = "account.removed_user"

DESCRIBING: Final = frozenset({GROUP, CREATED, UPDATED})
"""They carry the account's traits and its parent."""
JOINING: Final = frozenset({GROUP, ADDED})
STATING: Final = JOINING | {REMOVED}
"""They say whether their person belongs to the account."""

PLACING: Final[Mapping[str, str]] = {
    name: member
    for member, camel in (("role", "role"), ("reports_to", "reportsTo"), ("parent_id", "parentId"))
    for name in (member, camel)
}
"""What says where a person or an account stands, as SDKs send it among a group's traits; the property it becomes."""

_OBJECTS: Final = frozenset(
    {
        *("account", "user", "trial", "invite", "order", "checkout", "deal", "quote", "invoice", "payment"),
        *("subscription", "shipment", "ticket", "call", "meeting", "task", "note", "document", "visit"),
    }
)
"""What may be an account's: elsewhere `account_id` is a page or a bot of the company's own."""


def member_of(type: str) -> str | None:
    """The property that names the account in events of this type, if there is one."""
    if type == GROUP:
        return "group_id"
    return "account_id" if type.partition(".")[0] in _OBJECTS else None
