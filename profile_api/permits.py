"""What a profile allows, purpose by purpose, and what an answer under a purpose leaves out."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Query

from identity.nodes import profile_id
from profile_api import people
from profile_api.deps import ApiDeps
from registry.purposes import allows
from schemas.clock import iso
from schemas.errors import Denied, InvalidInput
from stream_processors.views.consent import Statement, statements

ForPurpose = Annotated[
    str | None,
    Query(
        max_length=200,
        description="What the answer is used for. Of a profile that does not allow it, only id and consent are shown.",
        examples=["marketing"],
    ),
]


def checked(deps: ApiDeps, purpose: str | None) -> str | None:
    """A purpose of a request. Raises `InvalidInput` for one that is not declared."""
    if purpose is not None and purpose not in deps.registry.purposes:
        raise InvalidInput(
            "purpose: wanted one that is declared, got another; see /v1/purposes, or declare it first",
            code="unknown_purpose",
        )
    return purpose


def is_at_hand(row: people.Row) -> bool:
    """Whether the row says all that was stated, so that what follows asks the tables for nothing."""
    return bool(row.get("stated", ({}, True))[1])


def purposes(deps: ApiDeps, row: people.Row) -> dict[str, Any]:
    """Every purpose that is declared, or that the profile has a statement for: whether it is allowed, and why."""
    stated = statements(deps.reader, row["profile"], row, deps.registry.purposes.keys())
    return {name: _view(deps, name, stated) for name in sorted({*deps.registry.purposes, *stated})}


def _view(deps: ApiDeps, name: str, stated: Mapping[str, Statement]) -> dict[str, Any]:
    """`since`, `source` and `channel` are those of the statement that holds; null where the default does."""
    declared, said = deps.registry.purposes.get(name), stated.get(name)
    return {
        "allowed": allows(declared, said.choice if said else None),
        "by": "statement" if said else "default",
        "choice": said.choice if said else None,
        "since": iso(said.at) if said else None,
        "source": said.source if said else None,
        "channel": said.channel if said else None,
        "lawful_basis": declared.lawful_basis if declared else None,
    }


def is_allowed(deps: ApiDeps, row: people.Row, purpose: str) -> bool:
    said = statements(deps.reader, row["profile"], row, [purpose]).get(purpose)
    return allows(deps.registry.purposes.get(purpose), said.choice if said else None)


def masked(deps: ApiDeps, row: people.Row, purpose: str) -> dict[str, Any]:
    """What is answered of a profile that does not allow a purpose: its id and what it has stated for that."""
    stated = statements(deps.reader, row["profile"], row, [purpose])
    return {"profile_id": profile_id(row["profile"]), "purposes": {purpose: _view(deps, purpose, stated)}}


def require(deps: ApiDeps, row: people.Row, purpose: str | None) -> None:
    """Before a part of a profile is answered by itself. Raises `Denied` (code `no_consent`)."""
    if purpose is not None and not is_allowed(deps, row, purpose):
        raise Denied(
            "purpose: wanted one that this profile allows, got one that it does not; see the profile's consent",
            code="no_consent",
        )
