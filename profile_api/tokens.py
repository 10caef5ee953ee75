"""Tokens of the API, and the operator's command to rebuild the projections."""

import secrets
from typing import Any

from fastapi import Response

from profile_api.auth import Caller, scope
from profile_api.call import sees_personal
from profile_api.declaring import TOKENS
from profile_api.deps import ApiDeps, Deps
from profile_api.models.examples import example
from profile_api.models.keys import NewToken, TokenPage, TokenView
from profile_api.models.operations import ReplayState
from profile_api.params import Name, moment_of
from profile_api.replies import JsonReply
from profile_api.requests import TokenIn
from profile_api.routes import guarded
from registry.keys import new_token, sha256_hex
from registry.models import Token
from registry.scopes import ADMIN, PERSONAL, Scope
from schemas.clock import iso
from schemas.errors import Conflict, Denied, InvalidInput


def view(token: Token) -> dict[str, Any]:
    view: dict[str, Any] = {"id": token.id, "name": token.name, "scopes": sorted(token.scopes)}
    moments = {"created_at": token.created_at, "expires_at": token.expires_at}
    return view | {name: None if at is None else iso(at) for name, at in moments.items()}


def expiry(deps: ApiDeps, at: str | int | None) -> int | None:
    """When a token expires, in ms. Raises `InvalidInput` for a time in the past."""
    ms = moment_of("expires_at", at)
    if ms is not None and ms <= deps.clock():
        raise InvalidInput(
            "expires_at: wanted a moment to come, got one in the past; leave it out for a token that never expires",
            code="invalid_moment",
        )
    return ms


def require_held(wanted: frozenset[Scope]) -> None:
    """Nobody hands out more than they have. Raises `Denied`; `admin` brings all scopes but `personal`."""
    if PERSONAL in wanted and not sees_personal():
        raise Denied(
            f"scopes: wanted scopes of the token that asks, got {PERSONAL}, which it lacks; use one that has it",
            code="forbidden",
        )


routes = guarded("administration")


@routes.get("/v1/tokens", response_model=TokenPage, responses=example(TokenPage))
@scope(ADMIN)
def list_tokens(deps: Deps) -> JsonReply:
    """List all tokens with their scopes, without the tokens themselves."""
    return TOKENS.listed(deps, view)


@routes.post(
    "/v1/tokens",
    status_code=201,
    response_model=NewToken,
    responses=example(NewToken, 201, "Shown once."),
)
@scope(ADMIN)
def create_token(deps: Deps, body: TokenIn, by: Caller) -> JsonReply:
    """Create a token with these scopes, valid until `expires_at` if given. Only this answer shows it."""
    require_held(frozenset(body.scopes))
    token, name = new_token(), f"tok_{secrets.token_hex(6)}"
    declared = {
        "name": body.name,
        "scopes": sorted(body.scopes),
        "masked": PERSONAL not in body.scopes,
        "token_sha256": sha256_hex(token),
        "expires_at": expiry(deps, body.expires_at),
    }
    return JsonReply(view(TOKENS.put(deps, name, declared, by)) | {"token": token}, 201)


@routes.get("/v1/tokens/{name}", response_model=TokenView, responses=example(TokenView))
@scope(ADMIN)
def one_token(deps: Deps, name: Name) -> JsonReply:
    """Return the name and the scopes of a token."""
    return JsonReply(view(TOKENS.found(deps, name)))


@routes.delete("/v1/tokens/{name}", status_code=204, responses={204: {"description": "Deleted. It no longer works."}})
@scope(ADMIN)
def delete_token(deps: Deps, name: Name, by: Caller) -> Response:
    """Delete a token. It stops working at once."""
    return TOKENS.delete(deps, name, by)


@routes.post(
    "/v1/replay",
    status_code=202,
    response_model=ReplayState,
    responses=example(ReplayState, 202, "Started."),
)
@scope(ADMIN)
def replay(deps: Deps) -> JsonReply:
    """Rebuild the projections next to the live ones, and swap them in when they are complete."""
    if deps.projections.replay is None:
        raise Conflict(
            "replay: wanted a process that runs the projections, got one that does not; ask one that does",
            code="no_replay_here",
        )
    return JsonReply(deps.projections.replay(), 202)


@routes.get("/v1/replay", response_model=ReplayState, responses=example(ReplayState))
@scope(ADMIN)
def replay_state(deps: Deps) -> JsonReply:
    """Return the state of the current or latest replay."""
    return JsonReply(deps.projections.replay_state())
