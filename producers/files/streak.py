"""The same fault again and again usually means a wrong mapping. This notices it before all rows are sent."""

from collections.abc import Callable
from typing import Final

from schemas.errors import InvalidInput

LIMIT: Final = 1_000
"""Rows (or events) in a row that fail for one reason before the user is asked."""

GoOn = Callable[[str], bool]
"""Called with a line for people; returns whether to continue."""


class SameFault(InvalidInput):
    """The import was stopped, since everything failed for one reason. Events sent before that stay."""

    default_code = "same_fault"


class Streak:
    """Watches the outcomes of rows. Calls `go_on` once for each reason; raises `SameFault` if it returns false."""

    def __init__(self, what: str, go_on: GoOn) -> None:
        """`what`: one of them with its verb, in the plural: "rows failed"."""
        self._what = what
        self._go_on = go_on
        self._reason: str | None = None
        self._length = 0
        self._seen = 0
        self._settled: set[str] = set()

    def saw(self, reason: str | None) -> None:
        """The next one failed for this reason, or (None) did not."""
        self._seen += 1
        if reason != self._reason:
            self._reason, self._length = reason, 0
        self._length += 1
        if reason is not None and self._length == LIMIT and reason not in self._settled:
            self._ask(reason)

    def _ask(self, reason: str) -> None:
        which = "the first" if self._seen == LIMIT else f"at number {self._seen:,}: the last"
        says = f"{which} {LIMIT:,} {self._what} for one reason: {reason}"
        if not self._go_on(says):
            raise SameFault(
                f"import: wanted usable rows, got faults ({says}); fix the mapping or the file and import again, or"
                " give --go-on to send the rest and keep the refused ones"
            )
        self._settled.add(reason)
