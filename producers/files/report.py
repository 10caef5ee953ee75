"""The report of an import: counted while it runs, printed at its end. It has rows, lines and columns, and never a
cell's value; only a dry run shows the first events as they would be sent."""

import json
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from producers.files.reasons import remedy

KEPT: Final = 100
"""Occurrences that are kept of each reason; beyond, they are counted."""
_SHOWN: Final = 10
FIRST_EVENTS: Final = 3


class Place(NamedTuple):
    """Where in the file: the row as a spreadsheet numbers it, its first line, the column; or an event's id."""

    row: int = 0
    line: int = 0
    column: str = ""
    event: str = ""

    def __str__(self) -> str:
        if self.event:
            return f"event {self.event}"
        return f"row {self.row}" + (f", {self.column}" if self.column else "")

    def as_json(self) -> dict[str, Any]:
        if self.event:
            return {"event": self.event}
        return {"row": self.row, "line": self.line or self.row, "column": self.column or None}


@dataclass
class Occurrences:
    """What happened for one reason: how often, and the first places."""

    count: int = 0
    places: list[Place] = field(default_factory=list)
    _row: int = 0
    _columns: set[str] = field(default_factory=set)

    def add(self, where: Place) -> None:
        """A cell that is read twice, as an identifier and as a trait, counts once."""
        if where.column:
            if where.row != self._row:
                self._row, self._columns = where.row, set()
            if where.column in self._columns:
                return
            self._columns.add(where.column)
        self.count += 1
        if len(self.places) < KEPT:
            self.places.append(where)

    @property
    def first(self) -> list[str]:
        """The first places without their columns."""
        return [str(place._replace(column="")) for place in self.places[:_SHOWN]]


@dataclass
class Report:
    """Counts of one import, by reason: `rejected` rows, documents and events that cannot be used, `left_out` cells and
    lines whose row or document is used without them, `repaired` cells.
    """

    rows: int = 0
    unusable: int = 0
    """Rows of which nothing was used."""
    events: Counter[str] = field(default_factory=Counter)
    """Accepted (or, in a dry run, made), by type."""
    tells_new: bool = False
    """Whether `already_here` was asked for."""
    already_here: int = 0
    """Those that are here as they are in the file: they were not sent again."""
    corrected: int = 0
    """Orders that were here with other lines or amounts: sent as `order.updated`."""
    conflicting: int = 0
    """Other events that were here with another content: the first one counts, and this one is kept as rejected."""
    settled: int = 0
    """Rejected events of earlier imports whose orders this one brought in whole: no longer open."""
    continued_at: int = 0
    """Events that this import had sent before it was interrupted. They are not sent again, and counted in no other
    number."""
    repaired: dict[str, Occurrences] = field(default_factory=dict)
    left_out: dict[str, Occurrences] = field(default_factory=dict)
    rejected: dict[str, Occurrences] = field(default_factory=dict)
    anonymous: int = 0
    """Documents without a customer: kept, and belonging to nobody."""
    skipped: int = 0
    """Documents whose status says that they never came about."""
    money: dict[str, Counter[str]] = field(default_factory=dict)
    """Currency -> event type -> sum of the orders' money, as decimal text in `as_json`."""
    first_events: list[dict[str, Any]] = field(default_factory=list)
    """Of a dry run."""
    first_time: int | None = None
    last_time: int | None = None
    """Times of the first and last event, in ms, as sent (shifted)."""
    recognised: dict[str, str] = field(default_factory=dict)
    """What the mapping did not say of the file's format, as it was recognised."""
    seconds: float = 0.0
    dry_run: bool = False

    def reject(self, reason: str, where: Place, rows: int = 1) -> None:
        """`rows` of the file are unusable for it."""
        self.rejected.setdefault(reason, Occurrences()).add(where)
        self.unusable += rows

    def refuse_event(self, code: str, id: str) -> None:
        """The platform itself refused it."""
        self.rejected.setdefault(code, Occurrences()).add(Place(event=id))
        self.unusable += 1

    def leave_out(self, reason: str, where: Place, rows: int = 0) -> None:
        self.left_out.setdefault(reason, Occurrences()).add(where)
        self.unusable += rows

    def repair(self, reason: str, where: Place) -> None:
        self.repaired.setdefault(reason, Occurrences()).add(where)

    def pay(self, type_: str, currency: str, amount: Decimal) -> None:
        sums: Any = self.money.setdefault(currency or "no currency", Counter())
        sums[type_] += amount

    def saw(self, time: int) -> None:
        self.first_time = time if self.first_time is None else min(self.first_time, time)
        self.last_time = time if self.last_time is None else max(self.last_time, time)

    @property
    def total(self) -> int:
        return sum(self.events.values())

    @property
    def new(self) -> int:
        return self.total - self.already_here - self.corrected - self.conflicting

    @property
    def failed(self) -> bool:
        """Whether nothing of it could be used."""
        return bool(self.rejected) and not (self.total or self.continued_at)

    def refused_too_much(self, share: float) -> bool:
        """Whether more than this share of the rows (0 to 1) was unusable."""
        return self.unusable > share * self.rows

    def as_json(self) -> dict[str, Any]:
        """The counts for programs. Those by what was here are null if that was not checked."""
        return {
            "dry_run": self.dry_run,
            "rows": self.rows,
            "unusable_rows": self.unusable,
            "events": self.total,
            "new": self.new if self.tells_new else None,
            "already_here": self.already_here if self.tells_new else None,
            "corrected": self.corrected if self.tells_new else None,
            "conflicting": self.conflicting if self.tells_new else None,
            "settled": self.settled,
            "sent_before_interruption": self.continued_at,
            "types": dict(self.events),
            "money": {
                currency: {type_: f"{amount:f}" for type_, amount in sums.items()}
                for currency, sums in self.money.items()
            },
            "anonymous": self.anonymous,
            "skipped": self.skipped,
            "repaired": _counts(self.repaired),
            "left_out": _counts(self.left_out),
            "rejected": _counts(self.rejected),
            "recognised": self.recognised,
            "seconds": round(self.seconds, 3),
        }

    def __rich__(self) -> RenderableType:
        parts: list[RenderableType] = [Text(self._headline())]
        if self.recognised:
            parts.append(Text("recognised: " + ", ".join(f"{name} {what}" for name, what in self.recognised.items())))
        if self.events:
            parts.append(_table("events", self.events))
        for currency, sums in self.money.items():
            amounts: Any = sums
            parts.append(
                Text("; ".join(f"{type_}: {amount:,f} {currency}" for type_, amount in sorted(amounts.items())))
            )
        if self.anonymous:
            parts.append(Text(f"{self.anonymous:,} documents name no customer: kept, belonging to nobody"))
        if self.skipped:
            parts.append(Text(f"{self.skipped:,} documents never came about, by their status: not sent"))
        if self.settled:
            parts.append(Text(f"{self.settled:,} rejected events of earlier imports are settled"))
        for title, found in (("repaired", self.repaired), ("left out", self.left_out), ("rejected", self.rejected)):
            if found:
                parts.append(_reasons(title, found))
        if self.first_events:
            parts.append(Text("the first events would be:"))
            parts += [Text(json.dumps(event, ensure_ascii=False, indent=1)) for event in self.first_events]
        return Group(*parts)

    def _headline(self) -> str:
        if self.dry_run:
            return f"{self.rows:,} rows would become {self.total:,} events; nothing was sent"
        rate = f", {self.total / self.seconds:,.0f} events/s" if self.seconds else ""
        told = f": {self.new:,} new, {self.already_here:,} already here" if self.tells_new else ""
        told += f", {self.corrected:,} corrected" if self.corrected else ""
        told += f", {self.conflicting:,} conflicting" if self.conflicting else ""
        before = f"; {self.continued_at:,} were sent before the interruption" if self.continued_at else ""
        return f"{self.rows:,} rows became {self.total:,} events{told}{before} ({self.seconds:.1f} s{rate})"


def _counts(found: dict[str, Occurrences]) -> dict[str, Any]:
    return {
        reason: {"count": one.count, "remedy": remedy(reason), "first": [place.as_json() for place in one.places]}
        for reason, one in sorted(found.items())
    }


def _table(title: str, counts: Counter[str]) -> Table:
    table = Table(box=None, padding=(0, 2))
    table.add_column(title, overflow="fold")
    table.add_column("count", justify="right")
    for name, count in counts.most_common():
        table.add_row(Text(name), f"{count:,}")
    return table


def _reasons(title: str, found: dict[str, Occurrences]) -> Table:
    table = Table(box=None, padding=(0, 2))
    table.add_column(title, overflow="fold")
    table.add_column("count", justify="right")
    table.add_column("first at", overflow="fold")
    table.add_column("what to do", overflow="fold")
    for reason, one in sorted(found.items()):
        more = ", …" if one.count > _SHOWN else ""
        places = "; ".join(str(place) for place in one.places[:_SHOWN])
        table.add_row(Text(reason), f"{one.count:,}", Text(places + more), Text(remedy(reason)))
    return table
