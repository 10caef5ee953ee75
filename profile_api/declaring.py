"""Declaring something and waiting until it is visible: the API's side of the registry topic."""

import time
from typing import Any

from profile_api.deps import ApiDeps
from profile_api.status import PROJECTIONS_GROUP
from registry.models import Kind
from schemas import topics
from schemas.errors import Backpressure

_POLL_SECONDS = 0.01


def declare(deps: ApiDeps, kind: Kind, name: str, body: dict[str, Any], by: str) -> None:
    """Append a declaration and block until the projections have taken it in."""
    wait_until_visible(deps, deps.registry.declare(kind, name, body, by))


def withdraw(deps: ApiDeps, kind: Kind, name: str, by: str) -> None:
    """Append a deletion and block until the projections have taken it in."""
    wait_until_visible(deps, deps.registry.withdraw(kind, name, by))


def wait_until_visible(deps: ApiDeps, offset: int) -> None:
    """Block until the projections have passed this offset of simorgh.registry.

    Raises `Backpressure` after `deps.visible_within` seconds: the declaration stands and will be taken in.
    """
    if not reached(deps, offset):
        raise Backpressure(
            "The change is recorded, but the projections have not reached it yet: see lag_seconds of"
            " /v1/status, then read it back instead of sending it again.",
            code="not_visible_yet",
        )


def reached(deps: ApiDeps, offset: int) -> bool:
    """Block until the projections have passed this offset of simorgh.registry, for up to `deps.visible_within` seconds;
    whether they have."""
    deadline = time.monotonic() + deps.visible_within
    while position(deps) <= offset:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def position(deps: ApiDeps) -> int:
    """The offset of the first record of simorgh.registry that the projections have not passed."""
    return deps.log.committed(PROJECTIONS_GROUP, topics.REGISTRY)[0]
