"""The accounts of a person: in which, since when, as what."""

from collections.abc import Iterator
from typing import Any

from identity.nodes import profile_id
from profile_api import people
from profile_api.call import note
from profile_api.deps import ApiDeps
from schemas.clock import iso
from warehouse import accounts

Row = dict[str, Any]


def places_of(deps: ApiDeps, profile: int) -> list[Row]:
    """The accounts that the person belongs to, by key."""
    rows = deps.reader.rows(accounts.OF_PERSON, {"nodes": people.nodes_of(deps.reader, profile)})
    return [{"key": row["account"]} | place for row, place in zip(rows, views_of(deps, rows), strict=True)]


def views_of(deps: ApiDeps, rows: list[Row]) -> list[Row]:
    """Of each row, since when, the role, and the profile that is reported to; null where there is none."""
    superiors = deps.views.owners(row["superior"] for row in rows if row["superior"])
    note(profiles=superiors.values())
    return [
        {
            "since": iso(row["since_ms"]),
            "role": row["role"] or None,
            "reports_to": profile_id(superior) if (superior := superiors.get(row["superior"])) else None,
        }
        for row in rows
    ]


def said_of(deps: ApiDeps, nodes: list[int]) -> Iterator[Row]:
    """All that was said of a person in accounts, in order."""
    for row in deps.reader.rows(accounts.SAID_OF_PERSON, {"nodes": nodes}):
        yield {
            "account": row["account"],
            "at": iso(row["ms"]),
            "joined": bool(row["joined"]),
            "role": row["role"] or None,
            "source": row["source"],
            "channel": row["channel"],
        }
