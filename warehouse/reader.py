"""Reading the warehouse on behalf of a caller: read-only handles, bound parameters, one place.

The embedded engine runs stacked statements and reads and writes files, so every query that carries anything from
a caller goes through `Reader`, whose handles have been made read-only for good (`readonly = 1`). Embedded, that
does not stop `INTO OUTFILE`: the query's text is always ours.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from warehouse.tickets import Ticket


class Reader(Protocol):
    """May be called from any thread."""

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Run one SELECT on the current generation's database and return its rows as dicts.

        `sql` names tables without a database and holds no caller's value: those are bound, as `{name:Type}`
        (UInt128 as a Python int). Blocks. Raises `InvalidInput` (code `query_too_large`) over the limits on time,
        memory and result rows, `Backpressure` while a server is away, and `Broken` for anything else that the engine
        refuses.
        """
        ...

    def look_up(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """`rows`, for what finds a few rows by their key: at half the CPU, and slowly where it has to read many."""
        ...

    def fill(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """`rows`, as tuples, for what may be long: any number of rows, and ten minutes. The memory is as limited: who
        asks does so in pages."""
        ...

    def call_off(self, ticket: Ticket) -> None:
        """End the query that runs under the ticket, and refuse those that would follow it. Blocks a moment.

        A query that cannot be ended ends by its limit on time."""
        ...
