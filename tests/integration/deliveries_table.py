"""A small table that plays `deliveries`."""

import threading
from collections.abc import Iterator
from typing import Any


class Table:
    """Table `deliveries`: the latest version of each row, and what the stage asks of it."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], dict[str, Any]] = {}
        self._lock = threading.Lock()

    def write(self, rows: list[dict[str, Any]]) -> None:
        with self._lock:
            for row in rows:
                old = self._rows.get((row["trigger"], row["id"]))
                if old is None or old["ver"] <= row["ver"]:
                    self._rows[row["trigger"], row["id"]] = dict(row)

    def pending(self, due_by: int, limit: int) -> list[dict[str, Any]]:
        due = sorted(
            (row for row in self.rows() if row["status"] == "pending" and row["next_at"] <= due_by),
            key=lambda row: (row["next_at"], row["ver"]),
        )
        return [row for number, row in _numbered(due) if number < limit]

    def rows(self) -> list[dict[str, Any]]:
        with self._lock:
            return [dict(row) for row in self._rows.values()]


def _numbered(rows: list[dict[str, Any]]) -> Iterator[tuple[int, dict[str, Any]]]:
    seen: dict[str, int] = {}
    for row in rows:
        number = seen.get(row["trigger"], 0)
        seen[row["trigger"]] = number + 1
        yield number, row
