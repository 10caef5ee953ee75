"""Cancelling the queries of a caller who no longer waits.

A ticket is carried by the thread that works for one request. Its tag is a comment in every query of that thread, so
that the engine, embedded or a server, can cancel them.
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
    """The query with its ticket's tag. Raises `Backpressure` if the ticket was cancelled between two queries."""
    ticket = _CURRENT.get()
    if ticket is None:
        return sql
    if ticket.called_off:
        raise Backpressure("request: wanted an answer, got a cancelled request; send it again", code="called_off")
    return sql + ticket.comment()
