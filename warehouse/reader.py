"""Reading the warehouse for a caller: read-only handles and bound parameters, in one place.

The embedded engine runs stacked statements and reads and writes files, so every query with a caller's value goes
through `Reader`, whose handles are permanently read-only (`readonly = 1`). Embedded, that does not stop `INTO OUTFILE`:
the query's text is always ours.
"""

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

from warehouse.tickets import Ticket

Row: TypeAlias = dict[str, Any]
"""A row by column. The driver decides the types of its values: whoever reads it makes a typed record of it at once."""

Parameters: TypeAlias = Mapping[str, object]
"""The values that a query binds, by name."""


class Reader(Protocol):
    """May be called from any thread."""

    def rows(self, sql: str, parameters: Parameters | None = None) -> list[Row]:
        """Run one SELECT on the current generation's database and return its rows as dicts.

        `sql` names tables without a database and holds no caller's value: those are bound, as `{name:Type}` (UInt128 as
        a Python int). Blocks. Raises `InvalidInput` (code `query_too_large`) over the limits on time, memory and result
        rows, `Backpressure` while a server is unreachable, and `Broken` for any other refusal of the engine.
        """
        ...

    def look_up(self, sql: str, parameters: Parameters | None = None) -> list[Row]:
        """`rows` for queries that find a few rows by their key: half the CPU, but slow if it reads many rows."""
        ...

    def fill(self, sql: str, parameters: Parameters | None = None) -> list[tuple[Any, ...]]:
        """`rows`, as tuples, for long results: any number of rows, and ten minutes. The memory limit is the same, so
        read in pages."""
        ...

    def call_off(self, ticket: Ticket) -> None:
        """Cancel the query that runs under the ticket, and refuse later ones. Blocks for a moment. A query that cannot
        be cancelled ends at its time limit."""
        ...
