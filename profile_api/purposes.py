"""Purposes: what data about people is used for, with its lawful basis and what holds where nobody said anything."""

from typing import Any

from fastapi import Response

from profile_api.auth import Caller, scope
from profile_api.declaring import PURPOSES
from profile_api.deps import ApiDeps, Deps
from profile_api.models.consent import PurposePage, PurposeView
from profile_api.models.examples import example
from profile_api.params import Name
from profile_api.replies import JsonReply
from profile_api.requests import PurposeChange, PurposeIn
from profile_api.routes import guarded
from registry.models import DENIED, GRANTED, Purpose
from registry.scopes import ADMIN, READ
from schemas.clock import iso
from schemas.errors import Conflict


def view(purpose: Purpose) -> dict[str, Any]:
    return purpose.model_dump(mode="json") | {"created_at": iso(purpose.created_at)}


def put(deps: ApiDeps, name: str, body: PurposeIn | PurposeChange, by: str) -> JsonReply:
    """Declare a purpose. Without a default, a purpose that rests on consent is denied until consent is given, and any
    other is granted until the person objects."""
    default = body.default or (DENIED if body.lawful_basis == "consent" else GRANTED)
    declared = {"name": body.name, "lawful_basis": body.lawful_basis, "default": default}
    return JsonReply(view(PURPOSES.put(deps, name, declared, by)), 201 if isinstance(body, PurposeIn) else 200)


routes = guarded("consent", "/v1/purposes")


@routes.get("", response_model=PurposePage, responses=example(PurposePage))
@scope(READ)
def list_purposes(deps: Deps) -> JsonReply:
    """List all purposes by id."""
    return PURPOSES.listed(deps, view)


@routes.post("", status_code=201, response_model=PurposeView, responses=example(PurposeView, 201, "Declared."))
@scope(ADMIN)
def create_purpose(deps: Deps, body: PurposeIn, by: Caller) -> JsonReply:
    """Declare a purpose. Earlier statements about it apply from now on."""
    PURPOSES.require_new(deps, body.id)
    return put(deps, body.id, body, by)


@routes.get("/{name}", response_model=PurposeView, responses=example(PurposeView))
@scope(READ)
def one_purpose(deps: Deps, name: Name) -> JsonReply:
    """Return one declared purpose."""
    return JsonReply(view(PURPOSES.found(deps, name)))


@routes.put("/{name}", response_model=PurposeView, responses=example(PurposeView))
@scope(ADMIN)
def change_purpose(deps: Deps, name: Name, body: PurposeChange, by: Caller) -> JsonReply:
    """Change a purpose: its name, lawful basis or default. What people stated stays."""
    PURPOSES.to_change(deps, name, body.id)
    return put(deps, name, body, by)


@routes.delete("/{name}", status_code=204, responses={204: {"description": "Deleted."}})
@scope(ADMIN)
def delete_purpose(deps: Deps, name: Name, by: Caller) -> Response:
    """Delete a purpose that no trigger names; what people stated stays on record."""
    PURPOSES.found(deps, name)
    users = sorted(trigger.id for trigger in deps.registry.triggers.values() if trigger.purpose == name)
    if users:
        raise Conflict(
            f"purpose: wanted one that nothing uses, got one that trigger {', '.join(users)} uses; change or delete"
            " that first",
            code="in_use",
        )
    return PURPOSES.delete(deps, name, by)
