"""A small table that plays `deliveries`."""

import threading
from collections.abc import Iterator

from destinations.delivery import DeliveryRow


class Table:
    """Table `deliveries`: the latest version of each row, and what the stage asks of it."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], DeliveryRow] = {}
        self._lock = threading.Lock()

    def write(self, rows: list[DeliveryRow]) -> None:
        with self._lock:
            for row in rows:
                old = self._rows.get((row["trigger"], row["id"]))
                if old is None or old["ver"] <= row["ver"]:
                    self._rows[row["trigger"], row["id"]] = row

    def pending(self, due_by: int, limit: int) -> list[DeliveryRow]:
        due = sorted(
            (row for row in self.rows() if row["status"] == "pending" and row["next_at"] <= due_by),
            key=lambda row: (row["next_at"], row["ver"]),
        )
        return [row for number, row in _numbered(due) if number < limit]

    def rows(self) -> list[DeliveryRow]:
        with self._lock:
            return list(self._rows.values())


def _numbered(rows: list[DeliveryRow]) -> Iterator[tuple[int, DeliveryRow]]:
    seen: dict[str, int] = {}
    for row in rows:
        number = seen.get(row["trigger"], 0)
        seen[row["trigger"]] = number + 1
        yield number, row
