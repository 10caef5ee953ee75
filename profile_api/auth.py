"""Who may call what: a Bearer token with scopes. Deny by default: an endpoint that declares no scope
answers nobody.
"""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from profile_api.problems import UNAUTHORIZED
from registry.models import Token
from registry.registry import Registry
from registry.scopes import Scope, allows
from registry.throttle import Throttle
from schemas.errors import Denied, Throttled

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

_bearer = HTTPBearer(auto_error=False, description="A token made by `POST /v1/tokens`, or SIMORGH_API_TOKEN.")


def scope(name: Scope) -> Callable[[Endpoint], Endpoint]:
    """Declare the scope that an endpoint needs. Stands below the route decorator."""

    def declare(endpoint: Endpoint) -> Endpoint:
        endpoint.scope = name  # type: ignore[attr-defined]
        return endpoint

    return declare


def scope_of(endpoint: Any) -> Scope | None:
    """The scope that an endpoint declares; None where it declares none."""
    return getattr(endpoint, "scope", None)


class Guard:
    """The dependency of the whole API router: lets a request through only with a token that has the route's
    scope.

    It also brings the registry up to date, so that an answer follows all that was declared before the
    request, here or in another process.
    """

    def __init__(self, registry: Registry, throttle: Throttle, *, at_hand: bool) -> None:
        """`at_hand`: bringing the registry up to date waits for nobody, mostly (see `ApiDeps`)."""
        self._registry = registry
        self._throttle = throttle
        self._at_hand = at_hand

    async def __call__(
        self, request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
    ) -> None:
        if self._at_hand:
            self._registry.refresh()
        else:
            await run_in_threadpool(self._registry.refresh)
        token = self._token(credentials, request.client.host if request.client else "")
        needed = scope_of(request.scope["endpoint"])
        if needed is None or not allows(token.scopes, needed):
            raise Denied(
                f"A token with the scope {needed} was wanted;"
                f" this one has {', '.join(sorted(token.scopes)) or 'none'}. Ask for another token.",
                code="forbidden",
            )
        request.state.token = token

    def _token(self, credentials: HTTPAuthorizationCredentials | None, address: str) -> Token:
        if credentials is None:
            raise Denied(
                "The header Authorization: Bearer <token> was wanted; none came. Send a token.",
                code=UNAUTHORIZED,
            )
        secret = credentials.credentials
        if seconds := self._throttle.wait(secret, address):
            raise Throttled(
                "Too many tokens that are not known came from here, or began like this one: try again later.",
                code="too_many_failures",
                seconds=seconds,
            )
        token = self._registry.authenticate_token(secret)
        if token is None:
            self._throttle.failed(secret, address)
            raise Denied("A token of this workspace was wanted; one that is not known came.", code=UNAUTHORIZED)
        self._throttle.succeeded(secret, address)
        return token


def caller(request: Request) -> str:
    """Who is calling, for the record of what they declare: the token's id."""
    token: Token = request.state.token
    return f"token:{token.id}"


Caller = Annotated[str, Depends(caller)]
