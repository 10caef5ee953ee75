"""Decorators of routes that block for long: they choose the pool of threads. They are below the route's decorator and
its scope. A route that blocks briefly needs none: FastAPI runs it in a thread of its own pool.
"""

import inspect
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, Final, TypeVar

from fastapi import Request

from profile_api.deps import ApiDeps, deps_of
from profile_api.heavy import Heavy

_REQUEST: Final = "request_of_turn"
"""The parameter by which a decorated endpoint gets its request."""

T = TypeVar("T")


def reads_much(handle: Callable[..., T]) -> Callable[..., Any]:
    """For requests that read many rows: a few run, a few wait, and none runs for a caller who has disconnected."""
    return _in_turn(handle, lambda deps: deps.heavy)


def declares(handle: Callable[..., T]) -> Callable[..., Any]:
    """For what declares something and waits for the projections."""
    return _in_turn(handle, lambda deps: deps.declaring)


def _in_turn(handle: Callable[..., T], pool: Callable[[ApiDeps], Heavy]) -> Callable[..., Any]:
    @wraps(handle)
    async def run(**arguments: Any) -> T:
        request: Request = arguments.pop(_REQUEST)
        return await pool(deps_of(request)).run(request, partial(handle, **arguments))

    signature = inspect.signature(handle, eval_str=True)
    asked = inspect.Parameter(_REQUEST, inspect.Parameter.KEYWORD_ONLY, annotation=Request)
    run.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*signature.parameters.values(), asked]
    )
    return run
