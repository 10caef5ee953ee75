"""Tables of facts: rows are what their declarations say, exact, and read facts only."""

from decimal import Decimal
from typing import Any

import pytest

from eventlog.port import Record
from producers.door import Refused
from producers.incoming import Incoming
from registry.models import Source
from schemas.fact_tables import ALL, FactTable
from schemas.sets import ALL as SETS
from stream_processors.parse.batch import parse
from stream_processors.rows.facts import fact_rows
from tests.properties.pipeline_world import make_door

SHOP = Source(id="shop")
AT = 1_700_000_000_000


def rows_of(*told: tuple[str, dict[str, Any]], table: str = "order_lines") -> list[dict[str, Any]]:
    door, records = make_door(), []
    for n, (kind, properties) in enumerate(told):
        who = [("user_id", "u1")]
        admitted = door.admit(
            Incoming(
                id=f"m{n}",
                type=kind,
                source=SHOP,
                received_at=AT,
                identifiers=who,
                channel="web",
                properties=properties,
            ),
            b"{}",
        )
        assert not isinstance(admitted, Refused)
        records.append(Record(0, n, admitted[0], admitted[1], AT))
    batch = parse(records)
    tables = fact_rows(batch, batch.unique())
    return list(tables[table].to_pylist()) if tables else []


def test_a_line_is_a_row() -> None:
    pieces = {"sku": 85123, "quantity": 6, "price": 2.55, "category": "lamps"}
    whole = {"product_id": "b", "amount": "15.3", "price": 9, "quantity": 9}
    order = {"order_id": "o-1", "currency": "GBP", "affiliation": "London", "products": [pieces, None, whole]}
    first, second, refund, more = rows_of(
        ("order.completed", order),
        ("order.refunded", {"order_id": "o-1", "products": [{"sku": "85123", "quantity": 1, "amount": 2.555}]}),
        ("order.continued", {"order_id": "o-1", "products": [{"sku": "c"}]}),
        ("page.viewed", {"products": [{"sku": "d"}]}),
    )
    assert (first["product"], first["quantity"], first["amount"]) == ("85123", Decimal(6), Decimal("15.30"))
    assert (first["category"], first["currency"], first["store"], first["n"]) == ("lamps", "GBP", "London", 0)
    assert (second["product"], second["amount"], second["n"]) == ("b", Decimal("15.3"), 2)
    assert (refund["type"], refund["amount"], more["amount"]) == ("order.refunded", Decimal("2.555"), None)
    assert {line["doc"] for line in (first, second, refund, more)} == {first["doc"]} != {bytes(16)}


def test_events_that_feed_no_table_have_no_rows() -> None:
    assert rows_of(("page.viewed", {}), ("order.completed", {"order_id": "o-1"})) == []


@pytest.mark.parametrize("table", ALL, ids=lambda table: table.name)
def test_what_is_read_is_a_fact_or_personal(table: FactTable) -> None:
    """What is sealed goes with its person: from personal columns, and from no others."""
    known = {event.type: event for each in SETS for event in each.events}
    assert table.types <= known.keys()
    for type in table.types & known.keys():
        fields = {field.name: field.fact for field in known[type].fields}
        outer = {field.name: field.schema for field in known[type].fields}
        entries = outer[table.entries]["items"]["properties"] if table.entries else {}
        assert not table.entries or fields[table.entries]
        for column in table.columns:
            if column.at == "campaign":
                assert column.personal
                continue
            inner = table.entries is not None and column.at == "entry"
            facts = {name: bool(one.get("x-fact")) for name, one in entries.items()} if inner else fields
            told = {facts[name] for name in column.read if name in facts}
            assert told <= {not column.personal}, (type, column.name)


@pytest.mark.parametrize("table", ALL, ids=lambda table: table.name)
def test_every_column_is_read_from_some_type(table: FactTable) -> None:
    known = {event.type: event for each in SETS for event in each.events}
    names = {field.name for type in table.types & known.keys() for field in known[type].fields}
    if table.entries is None:
        assert all(names.intersection(column.read) for column in table.columns if column.at != "campaign")


def test_numbers_are_exact() -> None:
    def amounts(*values: Any) -> list[Any]:
        return [row["amount"] for row in rows_of(("order.completed", {"products": [{"amount": v} for v in values]}))]

    assert amounts(0.1, 2.675, 1e20, 10**15, "12.50") == [
        Decimal(text) for text in ("0.1", "2.675", "1e20", "1e15", "12.5")
    ]
    assert amounts(0.0000005, 0.0000015, 123456789.1234565) == [
        Decimal(text) for text in ("0", "0.000002", "123456789.123456")
    ]
    assert amounts(True, None, "x", "NaN") == [None] * 4


def test_a_property_that_its_type_does_not_know_is_in_no_row() -> None:
    """It is sealed, whatever it is called: a row would outlive it."""
    [contact] = rows_of(("email.sent", {"message_id": "m", "agent_id": "a", "campaign_id": "c"}), table="interactions")
    assert (contact["contact"], contact["agent"], contact["campaign"]) == ("m", "", "c")
    assert contact["direction"] == "outbound"
