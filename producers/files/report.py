"""The report of an import: counted while it runs, printed at its end. It has row numbers, never a cell's value."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

_FIRST_ROWS = 10


@dataclass
class Rejections:
    """Rows or events refused for one reason; `first` names the first few: row numbers, or the event's id."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, where: str) -> None:
        self.count += 1
        if len(self.first) < _FIRST_ROWS:
            self.first.append(where)


@dataclass
class Report:
    """Counts of one import. `rejected` is by reason; `held_back`: good rows whose document has a bad one."""

    rows: int = 0
    events: Counter[str] = field(default_factory=Counter)
    """Accepted (or, in a dry run, made), by type."""
    tells_new: bool = False
    """Whether `already_here` was asked for."""
    already_here: int = 0
    """The accepted ones that an earlier import had sent: copies, which change nothing."""
    repaired: Counter[str] = field(default_factory=Counter)
    rejected: dict[str, Rejections] = field(default_factory=dict)
    held_back: int = 0
    anonymous: int = 0
    """Documents without a customer: kept, and belonging to nobody."""
    first_time: int | None = None
    last_time: int | None = None
    """Times of the first and last document, in ms, as sent (shifted)."""
    seconds: float = 0.0
    dry_run: bool = False

    def reject(self, reason: str, where: str) -> None:
        self.rejected.setdefault(reason, Rejections()).add(where)

    def saw(self, time: int) -> None:
        self.first_time = time if self.first_time is None else min(self.first_time, time)
        self.last_time = time if self.last_time is None else max(self.last_time, time)

    @property
    def total(self) -> int:
        return sum(self.events.values())

    @property
    def new(self) -> int:
        return self.total - self.already_here

    @property
    def failed(self) -> bool:
        """Whether nothing of it could be used."""
        return bool(self.rejected) and not self.total

    def as_json(self) -> dict[str, Any]:
        """The counts for programs. `new` and `already_here` are null if it was not checked which were here."""
        return {
            "dry_run": self.dry_run,
            "rows": self.rows,
            "events": self.total,
            "new": self.new if self.tells_new else None,
            "already_here": self.already_here if self.tells_new else None,
            "by_type": dict(self.events),
            "anonymous": self.anonymous,
            "repaired": dict(self.repaired),
            "rejected": {reason: {"count": one.count, "first": one.first} for reason, one in self.rejected.items()},
            "held_back": self.held_back,
            "seconds": round(self.seconds, 3),
        }

    def __rich__(self) -> RenderableType:
        parts: list[RenderableType] = [Text(self._headline())]
        if self.events:
            parts.append(_table("events", self.events))
        if self.anonymous:
            parts.append(Text(f"{self.anonymous:,} documents name no customer: kept, belonging to nobody"))
        if self.repaired:
            parts.append(_table("repaired", self.repaired))
        if self.rejected:
            parts.append(_rejections(self.rejected))
        if self.held_back:
            parts.append(
                Text(
                    f"{self.held_back:,} good rows held back, since a row of the same document was rejected: "
                    "correct the file and import it again (what was accepted is not counted twice)"
                )
            )
        return Group(*parts)

    def _headline(self) -> str:
        if self.dry_run:
            return f"{self.rows:,} rows would become {self.total:,} events; nothing was sent"
        rate = f", {self.total / self.seconds:,.0f} events/s" if self.seconds else ""
        told = f": {self.new:,} new, {self.already_here:,} already here" if self.tells_new else ""
        return f"{self.rows:,} rows became {self.total:,} events{told} ({self.seconds:.1f} s{rate})"


def _table(title: str, counts: Counter[str]) -> Table:
    table = Table(box=None, padding=(0, 2))
    table.add_column(title, overflow="fold")
    table.add_column("count", justify="right")
    for name, count in counts.most_common():
        table.add_row(Text(name), f"{count:,}")
    return table


def _rejections(rejected: dict[str, Rejections]) -> Table:
    table = Table(box=None, padding=(0, 2))
    table.add_column("rejected", overflow="fold")
    table.add_column("count", justify="right")
    table.add_column("first at", overflow="fold")
    for reason, found in sorted(rejected.items()):
        more = ", …" if found.count > len(found.first) else ""
        table.add_row(Text(reason), f"{found.count:,}", Text(", ".join(found.first) + more))
    return table
