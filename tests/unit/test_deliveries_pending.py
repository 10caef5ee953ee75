"""Which deliveries are due, asked of the table, against a plain fold of the same rows."""

from collections.abc import Iterator
from random import Random
from typing import Any, cast

import pytest

from destinations import deliveries
from destinations.delivery import DeliveryRow
from warehouse.client import Warehouse, Writer

NOW = 1_760_000_000_000
FOR_EVER = 1 << 41

Row = DeliveryRow


@pytest.fixture
def warehouse(chdb_dsn: str) -> Iterator[Warehouse]:
    made = Warehouse(chdb_dsn, "due")
    made.migrate(1)
    yield made
    made.drop(1)
    made.close()


def a_row(trigger: str, id: str, ver: int, **more: Any) -> Row:
    row: Row = {
        "trigger": trigger,
        "id": id,
        "status": "pending",
        "attempts": ver % 7,
        "next_at": NOW,
        "created_at": NOW - 5_000,
        "updated_at": NOW + ver,
        "response_code": 503,
        "error": "connection_refused",
        "body": f"{id}, as of {ver}",
        "ver": ver,
    }
    return cast(Row, {**row, **more})


def folded(rows: list[Row], due: int, limit: int) -> list[Row]:
    """What `pending` promises, said plainly."""
    latest: dict[tuple[str, str], Row] = {}
    for row in sorted(rows, key=lambda row: row["ver"]):
        latest[row["trigger"], row["id"]] = row
    found = [row for row in latest.values() if row["status"] == "pending" and row["next_at"] <= due]
    found.sort(key=lambda row: (row["next_at"], row["ver"]))
    places = {id(row): [one for one in found if one["trigger"] == row["trigger"]].index(row) for row in found}
    return [row for row in found if places[id(row)] < limit]


def written(writer: Writer, random: Random) -> list[Row]:
    """Deliveries in all their states, in many inserts, some written twice as after a crash."""
    rows: list[Row] = []
    for ver in range(600):
        status = random.choice(("pending", "pending", "delivered", "gave_up"))
        next_at = NOW + random.choice((-60_000, -1, 0, 1, 60_000))
        rows.append(
            a_row(f"t{random.randint(0, 2)}", f"m{random.randint(0, 150)}", ver, status=status, next_at=next_at)
        )
    shuffled = [*rows, *random.sample(rows, 60)]
    random.shuffle(shuffled)
    for start in range(0, len(shuffled), 70):
        writer.insert("deliveries", deliveries.rows(shuffled[start : start + 70]))
    return rows


def test_due_deliveries_are_those_of_a_plain_fold(warehouse: Warehouse) -> None:
    writer = warehouse.writer(1)
    rows = written(writer, Random(1))
    for due in (NOW - 60_001, NOW - 1, NOW, NOW + 1, FOR_EVER):
        for limit in (1, 20, 500):
            assert deliveries.pending(writer, due, limit) == folded(rows, due, limit), (due, limit)


def test_a_delivery_put_off_is_not_due_by_its_old_time(warehouse: Warehouse) -> None:
    writer = warehouse.writer(1)
    writer.insert("deliveries", deliveries.rows([a_row("t", "m", 1)]))
    writer.insert("deliveries", deliveries.rows([a_row("t", "m", 2, next_at=NOW + 5_000)]))
    assert deliveries.pending(writer, NOW, 10) == []
    assert [row["ver"] for row in deliveries.pending(writer, NOW + 5_000, 10)] == [2]
    assert deliveries.pending(writer, FOR_EVER, 0) == []
