"""The law of the tables of facts: whatever comes in whatever order, rows and views are what pandas says of the log.

Shuffled over four partitions, repeated, merged, split and replayed, on one box and on a cluster. Nothing here reads the
declarations of the tables: what each column holds is written down once more, in words of its own.
"""

import json
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation, localcontext
from functools import cache
from pathlib import Path
from typing import Any, Final

import pandas as pd  # type: ignore[import-untyped]  # ships no types
from hypothesis import given

import schemas
from identity.nodes import from_hex
from producers.door import Refused, Verdict
from producers.incoming import ClaimedAt, Context, Incoming
from tests.properties.installation import House, MakeHouse
from tests.properties.pipeline_world import SOURCES, Random, chunks, delivered, law, make_door, make_identifiers
from tests.properties.segments_world import DAY, SEEDS, T0
from tests.properties.test_pipeline_facts import commands

EVENTS: Final = Path(schemas.__file__).parent / "events"
TABLES: Final[dict[str, tuple[str, str]]] = {
    "order_lines": (
        "order.completed order.updated order.refunded order.continued",
        "product=sku|product_id name category brand variant coupon quantity:n price:n amount:n discount:n",
    ),
    "interactions": (
        "call.started call.answered call.missed call.ended call.transferred email.sent email.received sms.sent"
        " sms.received sms.failed live_chat_conversation.started live_chat_conversation.ended live_chat_message.sent"
        " live_chat_message.received social.mentioned social.commented ticket.replied",
        "contact=call_id|conversation_id|ticket_id|message_id|post_id agent=agent_id queue campaign=campaign_id"
        " wait_s:n talk_s:n cost:n currency",
    ),
    "ticket_steps": (
        "ticket.opened ticket.assigned ticket.replied ticket.pending ticket.solved ticket.reopened ticket.escalated"
        " ticket.closed",
        "id=ticket_id kind topic through=channel agent=agent_id team priority sla_due:m minutes:n",
    ),
    "lead_steps": (
        "lead.created lead.assigned lead.contacted lead.qualified lead.disqualified lead.converted",
        "id=lead_id origin=source campaign=campaign_id owner reason value:n currency",
    ),
    "deal_steps": (
        "deal.created deal.stage_changed deal.won deal.lost deal.reopened",
        "id=deal_id account=account_id pipeline stage amount:n currency probability:n close_date:m owner reason"
        " competitor region",
    ),
    "invoice_steps": (
        "invoice.issued invoice.paid invoice.overdue invoice.void",
        "id=document_id account=account_id amount:n currency due_at:m method",
    ),
    "touches": (
        "page.viewed screen.viewed email.sent email.delivered email.opened email_link.clicked sms.sent sms.clicked"
        " call.started call.answered call.missed call.ended call.transferred lead.created",
        "campaign=campaign_id cost:n currency",
    ),
    "answers": (
        "survey.sent survey.answered",
        "survey=survey_id response=response_id kind about score:n scale_min:n scale:n",
    ),
    "points": (
        "points.earned points.redeemed points.expired points.corrected",
        "programme points:n lot=lot_id expires_at:m reason",
    ),
    "catalogue_rows": (
        "product.updated product.stock_changed price.changed",
        "sku valid_from:m name category brand price:n cost:n currency stock:n",
    ),
}
"""Table -> its event types, and its columns with the properties that they are read from: n is a number, m a moment."""

THINGS: Final = {"tickets": "ticket_steps", "leads": "lead_steps", "deals": "deal_steps", "invoices": "invoice_steps"}
UTMS: Final = {"utm_campaign": "name", "utm_source": "source", "utm_medium": "medium"}
TEXTS: Final = ("a", "b", "é", 7, "", None)
NUMBERS: Final = (5, -3, 0.1, 2.555, "12.5", 0.0000005, 1e20, 10**15, None)
MOMENTS: Final = ("2026-03-01", "2026-03-01T10:00:00+03:30", "2026-03-01T10:00:00.123Z", "", None)
PERSONAL: Final = {"contact", "id", "sla_due", "survey", "response", "lot", "expires_at"}
"""Columns that may hold more than facts."""
ROW: Final = ["time", "received_at", "place", "key"]
"""The total order of events."""


def columns_of(table: str) -> dict[str, tuple[list[str], str]]:
    found = {}
    for text in TABLES[table][1].split():
        name, _, kind = text.partition(":")
        column, _, read = name.partition("=")
        found[column] = ((read or column).split("|"), kind)
    return found


def make_incoming(r: Random, id: str, now: int, group: str, people: int) -> Incoming:
    """An event that feeds a table, with odd values among its properties."""
    table = r.choice(list(TABLES))
    source = r.choice(SOURCES)
    values: dict[str, Any] = {}
    for names, kind in columns_of(table).values():
        for name in names:
            if r.random() < 0.6:
                values[name] = r.choice({"n": NUMBERS, "m": MOMENTS, "": TEXTS}[kind])
    if table == "order_lines":
        entries = [{**values, "sku": r.choice(TEXTS)}, r.choice((values, None, {})), {"sku": "x", "amount": 1}]
        values = {"products": entries[: r.randint(0, 3)], "order_id": r.choice("pq"), "currency": "EUR"}
    campaign = {name: r.choice(("Spring", "mail", 7, "")) for name in UTMS.values() if r.random() < 0.5}
    context = {"campaign": r.choice((campaign, campaign, "x"))} if r.random() < 0.5 else {}
    return Incoming(
        type=r.choice(TABLES[table][0].split()),
        id=id,
        source=source,
        channel=source.channel,
        received_at=now - r.choice((0, 0, 1, 5_000)),
        original_time=ClaimedAt(now - r.choice((0, 1, DAY, DAY, 9 * DAY))),
        identifiers=make_identifiers(r, group, people),
        properties=values,
        context=Context(context),
        of_nobody=True,
    )


# ---- what pandas says


def read(kind: str, value: Any) -> Any:
    if kind == "":
        return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
    if kind == "m":
        return pd.to_datetime(value, utc=True) if isinstance(value, str) and value else None
    return number(value)


def number(value: Any) -> Decimal | None:
    if value is None or isinstance(value, bool):
        return None
    try:
        with localcontext(prec=80, rounding=ROUND_HALF_EVEN):
            exact = Decimal(str(value)).quantize(Decimal("0.000001"))
            return exact if abs(exact) < 10**30 else None
    except InvalidOperation:
        return None


def expected(table: str, events: Collection[dict[str, Any]]) -> list[dict[str, Any]]:
    types = TABLES[table][0].split()
    return [
        row
        for event in events
        if event["type"] in types
        for row in rows_of(table, event)
        if table != "touches" or any(row[name] for name in ("campaign", *UTMS))
        if table != "catalogue_rows" or row["sku"]
    ]


def rows_of(table: str, event: dict[str, Any]) -> list[dict[str, Any]]:
    properties, facts = event["properties"], facts_of(event["type"])
    entries = properties.get("products") or [] if table == "order_lines" else [properties]
    linked = [one for one in event["identifiers"] if one.get("trust") != "hint"]
    rows = []
    for n, entry in enumerate(entries):
        if entry is None:
            continue
        row: dict[str, Any] = {"n": n, "type": event["type"], "channel": event["channel"]}
        row |= {name: read("m", event[name]) for name in ("time", "received_at")}
        row |= {"place": event["place"], "key": int(event["key"], 16)}
        row["node"] = from_hex(linked[0]["node"]) if linked else 0
        for column, (names, kind) in columns_of(table).items():
            allowed = [name for name in names if table == "order_lines" or column in PERSONAL or name in facts]
            present = [entry[name] for name in allowed if entry.get(name) not in (None, "")]
            row[column] = read(kind, present[0] if present else None)
        if table == "order_lines" and row["amount"] is None and None not in (row["price"], row["quantity"]):
            row["amount"] = number(product(row["price"], row["quantity"]))
        if table == "touches":
            campaign = event["context"].get("campaign")
            told = campaign if isinstance(campaign, dict) else {}
            row |= {column: read("", told.get(name)) for column, name in UTMS.items()}
        rows.append(row)
    return rows


@cache
def facts_of(type_: str) -> frozenset[str]:
    """What the published schema marks as a fact."""
    newest = max(EVENTS.glob(f"{type_}.v*.json"), key=lambda path: int(path.stem.rpartition(".v")[2]))
    marked = json.loads(newest.read_text())["properties"]
    return frozenset(name for name, schema in marked.items() if schema.get("x-fact"))


def product(a: Decimal, b: Decimal) -> Decimal:
    with localcontext(prec=80):
        return a * b


def in_order(rows: Collection[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: (row["key"], row["n"]))


def stored(house: House, table: str, columns: Collection[str]) -> list[dict[str, Any]]:
    """The rows, with numbers for hashes, and moments as pandas has them."""
    names = ", ".join(f"toString({name}) AS {name}" if name in ("key", "node") else name for name in columns)
    found = []
    for row in house.writer.arrow(f"SELECT {names} FROM {table} AS rows FINAL").to_pylist():
        row |= {name: int(row[name]) for name in ("key", "node") if name in row}
        moments = {name: value for name, value in row.items() if isinstance(value, datetime)}
        found.append(row | {name: pd.Timestamp(value).tz_convert("UTC") for name, value in moments.items()})
    return found


def check_rows(house: House, events: Collection[dict[str, Any]]) -> None:
    for table in TABLES:
        wanted = in_order(expected(table, events))
        columns = list(wanted[0]) if wanted else ["key", "n"]
        assert in_order(stored(house, table, columns)) == wanted, table


def check_things(house: House, events: Collection[dict[str, Any]]) -> None:
    """Tickets and the like: of each profile, the last that was said of each field."""
    homes = dict(house.writer.rows("SELECT node, profile FROM identity FINAL"))
    retold = {key for (key,) in house.writer.rows("SELECT key FROM retellings")}
    for view, table in THINGS.items():
        fields = [name for name in columns_of(table) if name != "id"]
        rows = [row for row in expected(table, events) if row["id"] and row["key"] not in retold]
        frame = pd.DataFrame(rows, columns=["id", "node", "type", *fields, *ROW], dtype=object)
        frame = frame.assign(profile=[homes.get(node, 0) for node in frame["node"]]).sort_values(ROW)
        frame = frame.replace({"": None})
        groups = frame.groupby(["profile", "id"])
        wanted = {key: (list(told["type"])[-1], [last_of(told[name]) for name in fields]) for key, told in groups}
        sql = f"SELECT toString(profile) AS profile, id, state, {', '.join(fields)} FROM {view}"
        found = {
            (int(row["profile"]), row["id"]): (row["state"], [plain(row[name]) for name in fields])
            for row in house.writer.arrow(sql).to_pylist()
        }
        assert found == wanted, view


def last_of(column: Any) -> Any:
    said = column.dropna()
    return None if said.empty else said.iloc[-1]


def plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return pd.Timestamp(value).tz_convert("UTC")
    return None if value == "" else value


def check_catalogue(house: House, events: Collection[dict[str, Any]]) -> None:
    rows = expected("catalogue_rows", events)
    found = house.writer.arrow("SELECT sku, valid_from, name, price, stock FROM catalogue").to_pylist()
    moments = {(row["sku"], row["valid_from"] or row["time"]) for row in rows}
    assert {(row["sku"], plain(row["valid_from"])) for row in found} == moments
    for row in found:
        at = plain(row["valid_from"])
        for name in ("name", "price", "stock"):
            told = [one for one in rows if one["sku"] == row["sku"] and one[name] not in (None, "")]
            known = [((one["valid_from"] or one["time"]), [one[part] for part in ROW], one[name]) for one in told]
            valid = sorted(one for one in known if one[0] <= at)
            assert plain(row[name]) == (valid[-1][2] if valid else None)


def check_identity_log(house: House, seen: Sequence[tuple[int, dict[int, int]]]) -> None:
    """Who was who when so much of simorgh.identity had been read."""
    for position, homes in seen:
        sql = f"SELECT node, argMax(profile, ver) FROM identity_log WHERE ver <= {position} GROUP BY node"
        assert dict(house.writer.rows(sql)) == homes


@law()
@given(seed=SEEDS)
def test_tables_are_what_pandas_says(make_house: MakeHouse, seed: int) -> None:
    r = Random(seed)
    door = make_door()
    sent: list[Verdict] = [door.admit(make_incoming(r, f"e{n}", T0, "", 4), b"{}") for n in range(150)]
    seen: list[tuple[int, dict[int, int]]] = []
    with make_house(now=T0 + DAY, partitions=4) as house:
        events: dict[str, dict[str, Any]] = {}
        for chunk in chunks(r, delivered(r, sent), 60):
            house.append(chunk)
            events |= {e["key"]: e for e in (json.loads(v[1]) for v in chunk if not isinstance(v, Refused))}
            if r.random() < 0.5:
                commands(r, house)
            if r.random() < 0.5:
                house.settle()
                [(position,)] = house.writer.rows("SELECT max(ver) FROM identity")
                seen.append((position, dict(house.writer.rows("SELECT node, profile FROM identity FINAL"))))
        assert all(expected(table, events.values()) for table in TABLES)
        for replayed in (False, True):
            if replayed:
                house.replay()
            house.settle()
            check_rows(house, events.values())
            check_things(house, events.values())
            check_catalogue(house, events.values())
            check_identity_log(house, seen)


def test_the_calendar_knows_both(make_house: MakeHouse) -> None:
    """1403 is a leap year; a week begins on Saturday."""
    with make_house() as house:
        sql = "SELECT toString(day), jalali_year, jalali_month, jalali_of_month, jalali_weekday FROM calendar"
        days = {day: tuple(rest) for day, *rest in house.writer.rows(sql)}
        assert days["2025-03-20"] == (1403, 12, 30, 6)
        assert days["2025-03-21"] == (1404, 1, 1, 7)
        assert days["1979-02-11"] == (1357, 11, 22, 2)
        assert days["2026-11-29"] == (1405, 9, 8, 2)
        assert len(days) == (datetime(2101, 1, 1, tzinfo=UTC) - datetime(1900, 1, 1, tzinfo=UTC)).days
