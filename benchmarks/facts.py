"""What the tables of facts cost: CPU for each row that is made and inserted, and for each event that feeds none.

Events are parsed beforehand, since the pipeline does that anyway. Inserts are timed with the merges that follow them.
"""

import random
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time, sleep
from typing import Any, Final

from benchmarks import report
from eventlog.port import Record
from identity.rules import DEFAULT_RULES
from producers.door import Door, Refused
from producers.incoming import Incoming
from registry.models import Source
from schemas.catalog import Catalog
from stream_processors.parse.batch import Batch, parse
from stream_processors.rows.facts import fact_rows
from warehouse.client import Warehouse, Writer

LINES: Final = 8
AT: Final = 1_700_000_000_000
BATCHES: Final = (250, 2_000)
_ROUNDS: Final = 10


def main() -> None:
    """Print CPU µs per row and per event."""
    r = random.Random(1)
    made = [
        (f"order.completed, {LINES} lines", _batch("order.completed", 2_000, lambda: _order(r))),
        ("ticket.replied", _batch("ticket.replied", 5_000, lambda: {"ticket_id": r.randrange(900), "minutes": 4})),
        ("page.viewed without a campaign", _batch("page.viewed", 5_000, lambda: {"path": "/"})),
        ("an event of one's own", _batch("custom.seen", 5_000, lambda: {"path": "/"})),
    ]
    rows = []
    for name, batch in made:
        spent, count = _made(batch)
        per_row = spent / count * 1e6 if count else "–"
        rows.append((name, count / len(batch), per_row, spent / len(batch) * 1e6))
    report.show("Rows of facts, made", ("event", "rows", "CPU µs per row", "per event"), rows, report.machine())
    with TemporaryDirectory() as folder:
        warehouse = Warehouse(f"chdb://{Path(folder) / 'warehouse'}", "facts")
        warehouse.migrate(1)
        columns = ("lines at once", "CPU µs per row")
        inserted = [_inserted(warehouse.writer(1), orders, r) for orders in BATCHES]
        report.show("The same, inserted and merged", columns, inserted)
        warehouse.close()


def _batch(type_: str, count: int, properties: Callable[[], dict[str, Any]]) -> Batch:
    door = Door(b"sixteen bytes ok", "default", lambda: DEFAULT_RULES, Catalog.load(), lambda: "fresh")
    records = []
    for n in range(count):
        told = Incoming(
            id=f"e{n}",
            type=type_,
            source=Source(id="shop"),
            channel="web",
            received_at=AT,
            identifiers=[("user_id", f"u{n % 500}")],
            properties=properties(),
        )
        verdict = door.admit(told, b"{}")
        assert not isinstance(verdict, Refused)
        records.append(Record(0, n, verdict[0], verdict[1], AT))
    return parse(records)


def _order(r: random.Random) -> dict[str, Any]:
    name = "WHITE HANGING HEART T-LIGHT HOLDER"
    products = [
        {
            "sku": f"s{r.randrange(3_000)}",
            "name": name,
            "quantity": r.randrange(1, 12),
            "price": r.randrange(2_000) / 100,
        }
        for _ in range(LINES)
    ]
    return {"order_id": str(r.random()), "revenue": 12.5, "currency": "GBP", "products": products}


def _made(batch: Batch) -> tuple[float, int]:
    """Seconds of the fastest of some rounds, and rows."""
    index, spent, count = batch.unique(), [], 0
    for _ in range(_ROUNDS):
        began = process_time()
        count = sum(table.num_rows for table in fact_rows(batch, index).values())
        spent.append(process_time() - began)
    return min(spent), count


def _inserted(writer: Writer, orders: int, r: random.Random) -> tuple[int, float]:
    batch = _batch("order.completed", orders, lambda: _order(r))
    lines = fact_rows(batch, batch.unique())["order_lines"]
    writer.insert("order_lines", lines)
    with _cpu() as spent:
        for _ in range(_ROUNDS):
            writer.insert("order_lines", lines)
        sleep(2)  # merges run beside
    return lines.num_rows, spent[0] / _ROUNDS / lines.num_rows * 1e6


@contextmanager
def _cpu() -> Iterator[list[float]]:
    """Seconds of all threads."""
    found = [0.0]
    before = resource.getrusage(resource.RUSAGE_SELF)
    yield found
    after = resource.getrusage(resource.RUSAGE_SELF)
    found[0] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
