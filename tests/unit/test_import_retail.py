"""The demo's real file, whole: published counts and the exact sum of its money."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import orjson
import pyarrow.parquet as pq
import pytest

import simorgh.demo
from eventlog.port import Record
from producers.door import Refused
from producers.files.events import Event
from producers.files.importer import read_events
from producers.files.mapping import load_mapping
from producers.files.report import Report
from producers.incoming import ClaimedAt, Incoming
from producers.limits import MAX_EVENT
from registry.models import Source
from schemas.orders import CONTINUED
from simorgh.demo.story import LAST_PURCHASE
from stream_processors.parse.batch import parse
from stream_processors.rows.facts import fact_rows
from tests.properties.pipeline_world import Box, MakeBox, make_door

DATA = Path(simorgh.demo.__file__).parent / "data"

pytestmark = pytest.mark.soak  # half a million rows

Read = tuple[list[Event], Report]


@pytest.fixture(scope="module")
def read() -> Read:
    report = Report()
    return (
        list(read_events(DATA / "online_retail.parquet", load_mapping(DATA / "mapping.toml"), report)),
        report,
    )


def _signed(event: Event) -> Decimal:
    amount = Decimal(repr(event["data"]["properties"]["revenue"]))
    return amount if event["type"] == "order.completed" else -amount


def test_every_invoice_becomes_one_order_or_refund(read: Read) -> None:
    events, report = read
    assert report.rows == 541_909
    assert report.rejected == {}
    kinds = Counter(event["type"] for event in events)
    # 3,836 invoices begin with C; 1,336 write off stock at no price, two correct a bad debt downwards
    assert kinds["order.refunded"] == 3_836 + 1_336 + 2
    assert kinds["order.completed"] + kinds["order.refunded"] == 25_900
    assert sum(event["type"] == "order.refunded" and event["id"].startswith("C") for event in events) == 3_836


def test_the_money_is_exact(read: Read) -> None:
    """As the index of the data set says. Four lines at a tenth of a penny are rounded, half up."""
    orders = [event for event in read[0] if event["type"] in ("order.completed", "order.refunded")]
    assert sum(map(_signed, orders)) == Decimal("9747747.93")
    assert {event["data"]["properties"]["currency"] for event in orders} == {"GBP"}


def test_every_line_is_kept_equal_ones_too(read: Read) -> None:
    lines = sum(len(event["data"]["properties"].get("products", ())) for event in read[0])
    assert lines == 541_909
    assert sum(event["type"] == CONTINUED for event in read[0]) == 131
    assert max(len(orjson.dumps(event)) for event in read[0]) < MAX_EVENT


def test_the_table_of_lines_sums_up_to_the_file(read: Read) -> None:
    """Line by line, in tenths of a penny: the sums by product and sign are those of the raw columns."""
    raw = pq.read_table(DATA / "online_retail.parquet", columns=["InvoiceNo", "StockCode", "Quantity", "UnitPrice"])
    expected: dict[str, Decimal] = {}
    for row in raw.to_pylist():
        amount = Decimal(repr(row["UnitPrice"])) * row["Quantity"]
        expected[row["StockCode"]] = expected.get(row["StockCode"], Decimal(0)) + amount
    door = make_door()
    found: dict[str, Decimal] = {}
    refunds: set[bytes] = set()
    count = 0
    for start in range(0, len(read[0]), 5_000):
        records = []
        for n, event in enumerate(read[0][start : start + 5_000]):
            told = Incoming(
                id=event["id"],
                type=event["type"],
                source=Source(id="shop"),
                channel="pos",
                received_at=1_700_000_000_000,
                identifiers=[],
                properties=event["data"].get("properties", {}),
                of_nobody=True,
            )
            verdict = door.admit(told, b"{}")
            assert not isinstance(verdict, Refused)
            records.append(Record(0, start + n, verdict[0], verdict[1], 0))
        batch = parse(records)
        rows = fact_rows(batch, batch.unique())
        lines = rows["order_lines"].to_pylist() if rows else []
        count += len(lines)
        refunds |= {line["doc"] for line in lines if line["type"] == "order.refunded"}
        for line in lines:
            amount = -line["amount"] if line["doc"] in refunds else line["amount"]
            found[line["product"]] = found.get(line["product"], Decimal(0)) + amount
    assert count == 541_909
    assert {product: amount for product, amount in found.items() if amount} == {
        product: amount for product, amount in expected.items() if amount
    }


def test_customers_and_the_lack_of_them(read: Read) -> None:
    events, report = read
    cards = {one["value"] for event in events for one in event["data"]["identifiers"]}
    assert len(cards) == 4_372
    assert report.anonymous == 3_710
    nameless = sum(
        len(event["data"]["properties"].get("products", ())) for event in events if not event["data"]["identifiers"]
    )
    assert nameless == 135_080
    told = Counter(event["data"]["identifiers"][0]["value"] for event in events if "traits" in event["data"])
    assert len(told) == 4_372
    assert sum(count > 1 for count in told.values()) == 8  # eight customers moved


def test_ids_are_unique_and_the_same_the_next_time(read: Read) -> None:
    ids = [event["id"] for event in read[0]]
    assert len(set(ids)) == len(ids) == 30_419
    first = read_events(DATA / "online_retail.parquet", load_mapping(DATA / "mapping.toml"), Report())
    assert [next(first)["id"] for _ in range(100)] == ids[:100]


def test_the_times_are_the_shops(read: Read) -> None:
    _, report = read
    assert report.last_time == LAST_PURCHASE
    assert {reason: found.count for reason, found in report.repaired.items()} == {
        "several_times_first_taken": 43,
        "amount_rounded": 4,
    }


@pytest.fixture(scope="module")
def taken_in(read: Read, make_box: MakeBox) -> Iterator[Box]:
    """The whole file, unshifted, in the tables of one box."""
    door = make_door()
    with make_box(now=AT, partitions=4) as box:
        for start in range(0, len(read[0]), 2_000):
            box.append([door.admit(told(event), b"{}") for event in read[0][start : start + 2_000]])
        box.settle()
        yield box


def told(event: Event) -> Incoming:
    data = event["data"]
    moment = datetime.fromisoformat(event["time"])
    return Incoming(
        id=event["id"],
        type=event["type"],
        source=Source(id="file", channel="pos"),
        channel="pos",
        received_at=AT,
        original_time=ClaimedAt(int(moment.timestamp() * 1000)),
        identifiers=[(one["type"], one["value"]) for one in data.get("identifiers", ())],
        traits=data.get("traits"),
        properties=data.get("properties", {}),
        of_nobody=True,
    )


AT = 1_323_475_200_000
"""2011-12-10, midnight in London: nothing of the file lies ahead."""
PLACING = "type IN ('order.completed', 'order.continued')"


def test_the_lines_hold_the_published_figures(taken_in: Box) -> None:
    """People with an id, returns by themselves, all in tenths of a penny."""
    sql = """SELECT uniqExactIf(node, bought), uniqExactIf(doc, bought), sumIf(amount, bought), uniqExact(node),
        sumIf(amount, NOT bought), sumIf(amount, bought) - sumIf(amount, NOT bought)
        FROM (SELECT node, lines.doc AS doc, amount, placed AS bought FROM counted_lines AS lines
            LEFT JOIN orders ON orders.doc = lines.doc WHERE node != 0)"""
    [(buyers, invoices, gross, people, returned, net)] = taken_in.writer.rows(sql)
    assert (buyers, people) == (4_339, 4_372)
    assert (gross, returned, net) == (Decimal("8911407.904"), Decimal("611342.09"), Decimal("8300065.814"))
    assert invoices == 18_536
    sql = """SELECT sum(amount), sum(price * quantity) FROM counted_lines WHERE node = 0 AND doc IN (
        SELECT doc FROM orders WHERE placed)"""
    [(nobodys, again)] = taken_in.writer.rows(sql)
    assert nobodys == again


def test_profiles_hold_the_published_figures(taken_in: Box) -> None:
    """Orders and gross revenue of some customers, and who has everything given back."""
    sql = """SELECT identities.value[1], orders, revenue['GBP'], revenue['GBP'] - refunds['GBP'] FROM profile_rows FINAL
        WHERE live AND identities.value[1] IN ('12347', '14646', '18102', '17841', '12346')"""
    found = {card: (orders, revenue, net) for card, orders, revenue, net in taken_in.writer.rows(sql)}
    assert {card: one[:2] for card, one in found.items()} == {
        "12347": (7, Decimal("4310.00")),
        "14646": (74, Decimal("280206.02")),
        "18102": (60, Decimal("259657.30")),
        "17841": (124, Decimal("40991.57")),
        "12346": (1, Decimal("77183.60")),
    }
    assert found["12346"][2] == 0


def test_shares_and_cohorts_are_the_published_ones(taken_in: Box) -> None:
    """Buyers with two invoices, the customers that quarters keep, and December's cohort, in London's months."""
    moves = "SELECT node, doc, time FROM order_movements WHERE kind = 'order' AND counts AND node != 0"
    [(repeat, all_)] = taken_in.writer.rows(
        f"SELECT countIf(times >= 2), count() FROM (SELECT node, uniqExact(doc) AS times FROM ({moves}) GROUP BY node)"
    )
    assert (repeat, all_) == (2_845, 4_339)
    months = f"""SELECT node, toStartOfMonth(time, 'Europe/London') AS month,
        min(month) OVER (PARTITION BY node) AS first FROM ({moves})"""
    sql = f"SELECT uniqExact(node) FROM ({months}) WHERE first = '2010-12-01' GROUP BY month ORDER BY month"
    cohort = [count for (count,) in taken_in.writer.rows(sql)]
    assert cohort[:12] == [885, 324, 286, 340, 321, 352, 321, 309, 313, 350, 331, 445]
    quarters = f"""SELECT node, groupUniqArray(dateDiff('month', toDate('2010-12-01'),
        toStartOfMonth(time, 'Europe/London')) DIV 3) AS active FROM ({moves}) GROUP BY node"""
    sql = f"""SELECT countIf(has(active, n) AND has(active, n + 1)), countIf(has(active, n))
        FROM ({quarters}) ARRAY JOIN [0, 1, 2] AS n GROUP BY n ORDER BY n"""
    assert taken_in.writer.rows(sql) == [(957, 1_682), (1_128, 1_993), (1_328, 1_948)]
