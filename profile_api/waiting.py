"""Waiting in a request until the projections have processed something, for as long as `visible_within` allows."""

import time
from collections.abc import Callable
from typing import Final

from profile_api.deps import ApiDeps
from schemas.errors import Backpressure

_POLL_SECONDS: Final = 0.01


def waited_for(deps: ApiDeps, done: Callable[[], bool]) -> bool:
    """Block until it is done; False after `visible_within` seconds."""
    deadline = time.monotonic() + deps.projections.visible_within
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def not_visible(what: str) -> Backpressure:
    """For something that is recorded and will be applied."""
    return Backpressure(
        f"{what}: wanted the projections to reach it in time, got no answer yet; it is recorded: see lag_seconds of"
        " /v1/status, then read it back instead of sending it again",
        code="not_visible_yet",
    )
