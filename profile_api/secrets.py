"""The secrets of a source that receives a vendor's webhook, and trying out a recorded request."""

from typing import Any

from fastapi import Response

from profile_api.auth import Caller, scope
from profile_api.declaring import SOURCES
from profile_api.deps import ApiDeps, Deps
from profile_api.models.examples import example
from profile_api.models.keys import Rehearsed, SecretList, SecretView
from profile_api.params import Name
from profile_api.replies import JsonReply, page
from profile_api.routes import guarded
from profile_api.source_requests import RecordedRequest, SecretChange, SecretIn
from registry.models import MOST_SECRETS, Source, SourceSecret
from registry.scopes import ADMIN
from schemas.clock import iso, random_id
from schemas.errors import Conflict, InvalidInput, NotFound

_HOUR_MS = 3_600_000


def view(secret: SourceSecret) -> dict[str, Any]:
    """Masked."""
    return {
        "id": secret.id,
        "use": secret.use,
        "begins": secret.begins,
        "created_at": iso(secret.created_at),
        "until": None if secret.until is None else iso(secret.until),
    }


def _add(deps: ApiDeps, name: str, body: SecretIn, by: str, *, keep_ms: int | None = None) -> SourceSecret:
    """`keep_ms`: how long the others of the same use stay valid; None: no end. Raises `Conflict` if there are too
    many."""
    source = SOURCES.found(deps, name)
    if source.vendor is None:
        raise Conflict("source: wanted one with a vendor, got one without; set its vendor first", code="no_vendor")
    uses = deps.vendors.uses(source.vendor)
    if body.use not in uses:
        raise InvalidInput(f"use: wanted one of {', '.join(uses)}, got another; name one of these", code="invalid_use")
    now = deps.clock()
    kept = [one for one in source.secrets if one.until is None or now < one.until]
    if keep_ms is not None:
        until = now + keep_ms
        kept = [
            one.model_copy(update={"until": min(until, one.until or until)}) if one.use == body.use else one
            for one in kept
        ]
        kept = [one for one in kept if one.until is None or now < one.until]
    if len(kept) >= MOST_SECRETS:
        raise Conflict(
            f"source: wanted at most {MOST_SECRETS} secrets, got one more; remove one first", code="too_many_secrets"
        )
    new = deps.vendors.seal(source.id, random_id(), body.use, body.secret)
    _put(deps, source, [*kept, new], by)
    return new


def _put(deps: ApiDeps, source: Source, secrets: list[SourceSecret], by: str) -> None:
    changed = source.model_dump(mode="json") | {"secrets": [one.model_dump(mode="json") for one in secrets]}
    SOURCES.put(deps, source.id, changed, by)


routes = guarded("administration", "/v1/sources/{name}")


@routes.get("/secrets", response_model=SecretList, responses=example(SecretList))
@scope(ADMIN)
def list_secrets(deps: Deps, name: Name) -> JsonReply:
    """List the secrets of a source, oldest first, showing only their first characters."""
    return JsonReply(page([view(one) for one in SOURCES.found(deps, name).secrets]))


@routes.post("/secrets", status_code=201, response_model=SecretView, responses=example(SecretView, 201, "Added."))
@scope(ADMIN)
def add_secret(deps: Deps, name: Name, body: SecretIn, by: Caller) -> JsonReply:
    """Add a secret. Requests that any of a source's secrets signed are accepted."""
    return JsonReply(view(_add(deps, name, body, by)), 201)


@routes.post(
    "/secrets/rotate", status_code=201, response_model=SecretView, responses=example(SecretView, 201, "Added.")
)
@scope(ADMIN)
def rotate_secret(deps: Deps, name: Name, body: SecretChange, by: Caller) -> JsonReply:
    """Add a secret; the others of the same use expire, at once or some hours later."""
    return JsonReply(view(_add(deps, name, body, by, keep_ms=round(body.keep_hours * _HOUR_MS))), 201)


@routes.delete(
    "/secrets/{secret_id}", status_code=204, responses={204: {"description": "Removed. It no longer holds."}}
)
@scope(ADMIN)
def remove_secret(deps: Deps, name: Name, secret_id: Name, by: Caller) -> Response:
    """Remove a secret by its id."""
    source = SOURCES.found(deps, name)
    kept = [one for one in source.secrets if one.id != secret_id]
    if len(kept) == len(source.secrets):
        raise NotFound("secret: wanted the id of one of the source's secrets, got another; see its secrets")
    _put(deps, source, kept, by)
    return Response(status_code=204)


@routes.post("/test", response_model=Rehearsed, responses=example(Rehearsed))
@scope(ADMIN)
def rehearse(deps: Deps, name: Name, body: RecordedRequest) -> JsonReply:
    """Show what a recorded request of the source's vendor would become. Nothing is stored."""
    recorded = body.model_dump(exclude_unset=True, by_alias=True)
    return JsonReply(deps.vendors.rehearse(SOURCES.found(deps, name), recorded))
