"""Calling off what runs for a caller who no longer waits for it.

A ticket is carried by the thread that works for one request. Its tag stands as a comment in every query of that
thread, which is how the engine, embedded or a server, is told what to end.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from schemas.errors import Backpressure


@dataclass(slots=True)
class Ticket:
    tag: str = field(default_factory=lambda: f"simorgh-{secrets.token_hex(8)}")
    called_off: bool = False

    def comment(self) -> str:
        return f" /* {self.tag} */"


_CURRENT: ContextVar[Ticket | None] = ContextVar("ticket", default=None)


@contextmanager
def carrying(ticket: Ticket) -> Iterator[None]:
    """Queries of this thread run under `ticket` inside."""
    token = _CURRENT.set(ticket)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def tagged(sql: str) -> str:
    """The query with its ticket's tag. Raises `Backpressure` where it was called off: the next query of several."""
    ticket = _CURRENT.get()
    if ticket is None:
        return sql
    if ticket.called_off:
        raise Backpressure("request: wanted an answer, got cancelled before; send it again", code="called_off")
    return sql + ticket.comment()
