"""What the tables say now: of the rows of one key, the one with the highest version counts.

Rows that the engine has not merged yet exist side by side, so these queries choose the latest themselves, which is
quicker than `FINAL` for queries that name their keys. Each function returns SQL without a caller's value: `where` is a
condition on the key, with bound parameters.
"""

from typing import Final

PROFILES: Final = "SELECT DISTINCT profile FROM identity WHERE profile != 0"
"""Profiles that nodes are in, or were in a moment ago."""

ABOUT_HOW_MANY: Final = "SELECT uniq(profile) AS profiles FROM identity"

_LIVE: Final = "argMax(live, ver) = 1"


def homes(where: str = "1") -> str:
    """`node`, and the profile that it is in as `home`: 0 is nobody."""
    return f"SELECT node, argMax(profile, ver) AS home FROM identity WHERE {where} GROUP BY node"


def home(where: str) -> str:
    """One row and column: the profile of one node, 0 if it is nobody's or unknown."""
    return f"SELECT argMax(profile, ver) FROM identity WHERE {where}"


def nodes(where: str) -> str:
    """`profile`, and each `node` that is in it."""
    return f"SELECT profile, node FROM members WHERE {where} GROUP BY profile, node HAVING {_LIVE}"


def memberships(where: str) -> str:
    """`segment`, `profile` and `since`, where the profile is in the segment."""
    return (
        f"SELECT segment, profile, argMax(entered_at, ver) AS since FROM memberships WHERE {where}"
        " GROUP BY segment, profile HAVING argMax(member, ver) = 1"
    )


def profiles(columns: str, where: str, having: str = "1") -> str:
    """`profile` and some `columns` of its row, of those that are live. `having`: a condition on what is the latest."""
    selected = f"profile, {columns}" if columns else "profile"
    return f"SELECT {selected} FROM profile_rows WHERE {where} GROUP BY profile HAVING {_LIVE} AND {having}"


def versions(table: str, where: str) -> str:
    """The whole latest row of each profile, whether it is live or not. `table`: `views` or `profile_rows`."""
    return f"SELECT * FROM {table} WHERE {where} ORDER BY ver DESC LIMIT 1 BY profile"
