"""Accounts that events name: their keys, and the identifiers of people within statements about them."""

import re
from collections.abc import Mapping
from typing import Final

from producers.facts import business_value
from schemas import accounts

_TYPED: Final = re.compile(r"([a-z][a-z0-9_]{0,49}):(.+)", re.DOTALL)


def account_of(
    member: str | None, properties: Mapping[str, object], context: Mapping[str, object], identifier: str | None
) -> str | None:
    """The key of the account that an event names: in the property `member`, in its context, or among its
    identifiers."""
    own = None if member is None else key_in(properties, member)
    return own or key_in(context, accounts.CONTEXT) or key_in({accounts.IDENTIFIER: identifier}, accounts.IDENTIFIER)


def key_in(values: Mapping[str, object], member: str) -> str | None:
    """The key of an account at a member, as one text. None for no value, and for an email address: a key stands in the
    clear, and would tell who it is."""
    key = business_value(values, member)
    return None if key is None or len(key) > accounts.MAX_KEY or "@" in key else key


def identifier_in(value: object) -> tuple[str, object] | None:
    """Type and value of a person: `type:value`, an email address, or else a user id. None for nobody."""
    if value is None or value == "":
        return None
    text = str(value)
    if found := _TYPED.fullmatch(text):
        return found[1], found[2]
    return ("email" if "@" in text else "user_id"), value
