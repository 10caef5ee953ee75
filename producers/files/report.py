"""What an import found: counted while it runs, printed at its end. Row numbers, never a cell's value."""

from collections import Counter
from dataclasses import dataclass, field

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

    def __rich__(self) -> RenderableType:
        rate = f", {self.total / self.seconds:,.0f} events/s" if self.seconds else ""
        verb = "would become" if self.dry_run else "became"
        parts: list[RenderableType] = [
            Text(f"{self.rows:,} rows {verb} {self.total:,} events in {self.seconds:.1f} s{rate}"),
            _table("events", self.events),
        ]
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


def _table(title: str, counts: Counter[str]) -> Table:
    table = Table(title, "count", box=None, padding=(0, 2))
    table.columns[1].justify = "right"
    for name, count in counts.most_common():
        table.add_row(name, f"{count:,}")
    return table


def _rejections(rejected: dict[str, Rejections]) -> Table:
    table = Table("rejected", "count", "first at", box=None, padding=(0, 2))
    table.columns[1].justify = "right"
    for reason, found in sorted(rejected.items()):
        more = ", …" if found.count > len(found.first) else ""
        table.add_row(reason, f"{found.count:,}", ", ".join(found.first) + more)
    return table
