"""Every request with a token leaves an audit entry.

Side effects of a request that changes something: 1 the entry `asked`; 2 the change; 3 the entry of what became of it;
4 the answer. A crash after 1 leaves an entry without an outcome: the change may have been made. Of an export: 1 the
entry; 2 the answer. Of any other that reads: 1 the answer; 2 the entry, with others, some 20 ms later. A crash between
the two loses the entry. Where the log does not take entries, requests are refused with 503 `audit_unavailable`; after 2
of a change, what was changed stays so.
"""

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from identity.nodes import to_hex
from privacy.audit import Auditor, unavailable
from profile_api.actions import action_of, changes, is_recorded, waits
from profile_api.call import CURRENT, Call
from profile_api.deps import ApiDeps, deps_of, one_per_app
from profile_api.problems import status_of
from schemas.errors import Backpressure, SimorghError
from schemas.records import AuditEntry

_SECONDS: Final = 10.0
"""That a request waits for the log to take its entry."""


def _auditor(deps: ApiDeps) -> Auditor:
    return Auditor(deps.log, deps.secret)


auditor_of = one_per_app(_auditor)


async def settle(app: FastAPI) -> None:
    """Wait until the log has what was handed over: an app that ends loses no entry."""
    auditor = app.state.made.get(_auditor)
    if auditor is not None:
        with suppress(Backpressure):  # told when it was noticed
            await asyncio.to_thread(settled, auditor)


def settled(auditor: Auditor) -> None:
    """Block until the log has all entries so far. Raises `Backpressure`."""
    try:
        auditor.settled().result(_SECONDS)
    except TimeoutError:
        raise unavailable() from None


AuditorOf = Annotated[Auditor, Depends(auditor_of)]

Handle = Callable[[Request], Coroutine[Any, Any, Response]]


class RecordedRoute(APIRoute):
    """A route of the API, whose requests are recorded."""

    def get_route_handler(self) -> Handle:
        handle = super().get_route_handler()
        route = f"{'/'.join(sorted(self.methods or ()))} {self.path_format}"
        action, recorded, waiting, changing = action_of(route), is_recorded(route), waits(route), changes(route)

        async def handled(request: Request) -> Response:
            call = Call(action, secrets.token_hex(16), recorded, waiting, changing, self.response_model)
            under_way = CURRENT.set(call)
            try:
                response = await handle(request)
            except Exception as error:
                await _record(request, call, _status(error))
                raise
            finally:
                CURRENT.reset(under_way)
            await _record(request, call, response.status_code)
            return response

        return handled


async def asked(request: Request) -> None:
    """Before a request changes something: write down that it was asked for. Raises `Backpressure`."""
    call = CURRENT.get()
    if call is not None and call.changes:
        await _record(request, call, 0, asked=True)


async def _record(request: Request, call: Call, status: int, *, asked: bool = False) -> None:
    if call.token is None or not call.recorded:
        return  # nobody whom we know, so nothing was shown either
    auditor = await auditor_of(request)
    entry = AuditEntry(
        chain="",
        n=0,
        before="",
        at=deps_of(request).clock(),
        token=call.token.id,
        name=call.token.name,
        action=call.action,
        request=call.request,
        asked=asked,
        status=status,
        target=call.target,
        profiles=[to_hex(profile) for profile in call.profiles],
        others=call.others,
        sought=[auditor.hashed(text) for text in call.sought],
        hash="",
    )
    written = auditor.record(entry) if call.waits else auditor.gather(entry)
    if written is None:
        return
    try:
        await asyncio.wait_for(asyncio.wrap_future(written), _SECONDS)
    except TimeoutError:
        raise unavailable() from None


def _status(error: Exception) -> int:
    """Of the answer that an error becomes (`problems`)."""
    if isinstance(error, SimorghError):
        return status_of(error)
    if isinstance(error, HTTPException):
        return error.status_code
    return 422 if isinstance(error, RequestValidationError) else 500
