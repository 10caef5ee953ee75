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
    """When a token expires, in ms. Raises `InvalidInput` for what has been."""
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
    """Every token with its scopes, never the token itself."""
    return TOKENS.listed(deps, view)


@routes.post(
    "/v1/tokens",
    status_code=201,
    response_model=NewToken,
    responses=example(NewToken, 201, "Shown once."),
)
@scope(ADMIN)
def create_token(deps: Deps, body: TokenIn, by: Caller) -> JsonReply:
    """Make a token with these scopes, until `expires_at` if it is given. It is shown this once."""
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
    """One token's name and scopes."""
    return JsonReply(view(TOKENS.found(deps, name)))


@routes.delete("/v1/tokens/{name}", status_code=204, responses={204: {"description": "It opens nothing now."}})
@scope(ADMIN)
def delete_token(deps: Deps, name: Name, by: Caller) -> Response:
    """Delete a token: it opens nothing any more."""
    return TOKENS.delete(deps, name, by)


@routes.post(
    "/v1/replay",
    status_code=202,
    response_model=ReplayState,
    responses=example(ReplayState, 202, "Begun."),
)
@scope(ADMIN)
def replay(deps: Deps) -> JsonReply:
    """Rebuild the projections beside the live ones and swap them in when they are complete."""
    if deps.projections.replay is None:
        raise Conflict(
            "replay: wanted a process that runs the projections, got one that does not; ask one that does",
            code="no_replay_here",
        )
    return JsonReply(deps.projections.replay(), 202)


@routes.get("/v1/replay", response_model=ReplayState, responses=example(ReplayState))
@scope(ADMIN)
def replay_state(deps: Deps) -> JsonReply:
    """How the replay that runs, or the latest one, stands."""
    return JsonReply(deps.projections.replay_state())
