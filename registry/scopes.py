"""The scopes of a token. Deny by default: every route names the one scope that it needs."""

from collections.abc import Set as AbstractSet
from typing import Final, Literal

Scope = Literal["read", "write", "steward", "admin", "audit", "personal"]

READ: Final = "read"
"""Profiles, segments, status, analytics."""

WRITE: Final = "write"
"""Declare segments and triggers."""

STEWARD: Final = "steward"
"""Merge, split and erase profiles, record consent, export what is known about a person."""

ADMIN: Final = "admin"
"""Sources, keys, rejected events, and everything that the other scopes allow, but for `personal`."""

AUDIT: Final = "audit"
"""Who looked at what, and changed what."""

PERSONAL: Final = "personal"
"""See personal values where the other scopes show a person: no route wants it, and `admin` does not bring it."""

ALL_SCOPES: Final[frozenset[Scope]] = frozenset({READ, WRITE, STEWARD, ADMIN, AUDIT, PERSONAL})


def allows(scopes: AbstractSet[Scope], wanted: Scope) -> bool:
    return wanted in scopes or (ADMIN in scopes and wanted != PERSONAL)
