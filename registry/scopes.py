"""The scopes of a token. Deny by default: every route names the one scope that it needs."""

from collections.abc import Set as AbstractSet
from typing import Final, Literal

Scope = Literal["read", "write", "steward", "admin"]

READ: Final = "read"
"""Profiles, segments, status, analytics."""

WRITE: Final = "write"
"""Declare segments and triggers."""

STEWARD: Final = "steward"
"""Merge, split and erase profiles, record consent, export what is known of a person."""

ADMIN: Final = "admin"
"""Sources, keys, rejected events, and everything that the other scopes allow."""

ALL_SCOPES: Final[frozenset[Scope]] = frozenset({READ, WRITE, STEWARD, ADMIN})


def allows(scopes: AbstractSet[Scope], wanted: Scope) -> bool:
    return wanted in scopes or ADMIN in scopes
