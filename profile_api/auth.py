"""Authorisation: a Bearer token with scopes. Deny by default: an endpoint without a scope is closed."""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from profile_api.call import CURRENT
from profile_api.deps import ApiDeps, deps_of
from profile_api.problems import UNAUTHORIZED
from profile_api.recording import asked
from registry.models import Token
from registry.scopes import Scope, allows
from schemas.errors import Denied, Throttled

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

_bearer = HTTPBearer(auto_error=False, description="A token from `POST /v1/tokens`, or SIMORGH_API_TOKEN.")


def scope(name: Scope) -> Callable[[Endpoint], Endpoint]:
    """Declare the scope that an endpoint needs. Stands below the route decorator."""

    def declare(endpoint: Endpoint) -> Endpoint:
        endpoint.scope = name  # type: ignore[attr-defined]
        return endpoint

    return declare


def scope_of(endpoint: Any) -> Scope | None:
    """The scope that an endpoint declares; None if it declares none."""
    return getattr(endpoint, "scope", None)


async def guard(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> None:
    """The dependency of every route of the API: lets a request through only with a token that has the route's scope.

    It also brings the registry up to date, so that an answer follows all that was declared before the request, here or
    in another process. What would change something is recorded before it does.
    """
    deps = deps_of(request)
    if deps.projections.at_hand:
        deps.registry.refresh()
    else:
        await run_in_threadpool(deps.registry.refresh)
    token = _token(deps, credentials, request.client.host if request.client else "")
    if (call := CURRENT.get()) is not None:
        registry = deps.registry
        call.token, call.sources, call.traits = token, registry.sources, registry.traits
        call.purposes = registry.purposes
    needed = scope_of(request.scope["endpoint"])
    if needed is None or not allows(token.scopes, needed):
        raise Denied(
            f"token: wanted the scope {needed}, got {', '.join(sorted(token.scopes)) or 'none'}; ask for another token",
            code="forbidden",
        )
    request.state.token = token
    await asked(request)


def _token(deps: ApiDeps, credentials: HTTPAuthorizationCredentials | None, address: str) -> Token:
    if credentials is None:
        raise Denied(
            "Authorization: wanted Bearer and a token, got no such header; send a token",
            code=UNAUTHORIZED,
        )
    secret = credentials.credentials
    if seconds := deps.throttle.wait(secret, address):
        raise Throttled(
            "token: wanted fewer tries with unknown tokens, got too many from here or with this beginning; try again"
            " later",
            code="too_many_failures",
            seconds=seconds,
        )
    token = deps.registry.authenticate_token(secret)
    if token is None:
        deps.throttle.failed(secret, address)
        raise Denied("token: wanted one of this workspace, got an unknown one; ask for a token", code=UNAUTHORIZED)
    deps.throttle.succeeded(secret, address)
    return token


async def caller(request: Request) -> str:
    """The caller, for the record of a declaration: the token's id."""
    token: Token = request.state.token
    return f"token:{token.id}"


Caller = Annotated[str, Depends(caller)]
