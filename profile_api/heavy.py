"""Heavy requests: a few run at a time, a few wait, and none runs for a caller who has disconnected.

Previews, lists, searches, timelines and why go through `Heavy` (see `turns`); look-ups of one profile, events and
health checks do not wait behind them. Declarations, which wait for the projections, have a pool of their own.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from typing import Any, Final, TypeVar

from fastapi import Request

from schemas.errors import Backpressure, SimorghError, Throttled
from warehouse.tickets import Ticket, carrying

_ASK_EVERY: Final = 0.2
"""Seconds between two looks whether the caller is still there."""

T = TypeVar("T")
CallOff = Callable[[Ticket], None]


class Heavy:
    """`most` requests run, `queue` wait, each for `seconds` in all. `run` belongs to the event loop."""

    def __init__(
        self, most: int = 2, queue: int = 16, seconds: float = 30.0, call_off: CallOff = lambda ticket: None
    ) -> None:
        """`call_off` ends the queries of a ticket; it may block."""
        self._threads = ThreadPoolExecutor(most, thread_name_prefix="heavy")
        self._places, self._seconds = most + queue, seconds
        self._call_off = call_off
        self._under_way: dict[Future[Any], Ticket] = {}
        self._closed = False

    async def run(self, request: Request, work: Callable[[], T]) -> T:
        """The result of `work`, which runs in a thread. Raises `Throttled` if too many wait, and `Backpressure` if it
        takes too long. When the caller disconnects, its queries are cancelled. A place is free again once its thread
        is.
        """
        if self._closed or len(self._under_way) >= self._places:
            raise Throttled(
                "query: wanted a free place among heavy requests, got none; try again in a moment", code="too_busy"
            )
        ticket = Ticket()
        future = self._threads.submit(copy_context().run, _carried, ticket, work)
        self._under_way[future] = ticket
        future.add_done_callback(lambda done: self._under_way.pop(done, None) and None)
        try:
            return await self._watched(request, ticket, future)
        finally:
            if not future.done() and not future.cancel():
                asyncio.get_running_loop().run_in_executor(None, self._end, ticket)

    async def _watched(self, request: Request, ticket: Ticket, future: "Future[T]") -> T:
        deadline = time.monotonic() + self._seconds
        waited = asyncio.wrap_future(future)
        waited.add_done_callback(_seen)  # there may be no caller left to read the outcome
        while not (await asyncio.wait({waited}, timeout=_ASK_EVERY))[0]:
            if self._closed or await request.is_disconnected():
                raise _called_off()
            if time.monotonic() > deadline:
                raise Backpressure(
                    f"query: wanted an answer within {self._seconds:g} s, got none and called it off; ask for less, or"
                    " try again when the server has less to do",
                    code="query_too_slow",
                )
        if waited.cancelled():
            raise _called_off()
        return waited.result()

    def _end(self, ticket: Ticket) -> None:
        with suppress(SimorghError):  # it ends by its own limit on time
            self._call_off(ticket)

    def close(self) -> None:
        """Accept no more work and cancel what is running. Returns at once; any thread may call."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)


def _seen(done: "asyncio.Future[Any]") -> None:
    if not done.cancelled():
        done.exception()


def _called_off() -> Backpressure:
    return Backpressure(
        "query: wanted its answer, got an end of the request before that; send it again", code="called_off"
    )


def _carried(ticket: Ticket, work: Callable[[], T]) -> T:
    with carrying(ticket):
        return work()
