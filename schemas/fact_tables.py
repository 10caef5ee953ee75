"""Tables of facts, as data: what each reads, and its columns. The next table is one more entry here.

A row is an event of certain types, or one entry of a list in its properties. Rows are narrow, and functions of their
event alone: state, history and balances are views over them. Every table has the columns of `COMMON` and this key, so
rows that are written again collapse. `docs/facts.md` says how they are made, and how to add one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from schemas import orders
from schemas.sets import ALL as SETS

Kind = Literal["text", "number", "moment"]
_TYPES: Final[dict[Kind, str]] = {
    "text": "String CODEC(ZSTD(1))",
    "number": "Nullable(Decimal(38, 6)) CODEC(ZSTD(1))",
    "moment": "Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1))",
}

_COMMON: Final = (
    ("node", "UInt128"),
    ("time", "DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1))"),
    ("part", "UInt16"),
    ("off", "UInt64 CODEC(Delta, ZSTD(1))"),
    ("n", "UInt32"),
    ("type", "LowCardinality(String)"),
    ("source", "LowCardinality(String)"),
    ("channel", "LowCardinality(String)"),
    ("received_at", "DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1))"),
    ("place", "UInt64 CODEC(ZSTD(1))"),
    ("key", "UInt128 CODEC(NONE)"),
    ("doc", "UInt128 CODEC(ZSTD(1))"),
)
COMMON: Final = tuple(name for name, _ in _COMMON)
"""Anchor and time of the event, its place in the log, the place of the row in the event, and the event's type, source,
channel, place in the total order and key. `doc`: the document that it is about, such as an order; 0: none."""
KEY: Final = "node, time, part, off, n"


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `names`: the properties that may hold it, the first with a value counts; by default the one of its
    own name. `at`: where they are: in the entry of the list (else in the event's properties), in the event's
    properties, or in `campaign` of its context. `times`: two columns whose product it is where none has. `fixed`: its
    value by the event's type, where none has.

    Text is '' where there is none, a number or a moment NULL. What is read must be marked as a fact in the schemas:
    everything else is sealed, and a table must not outlive it (`readable`). Or else the column is `personal`, and
    emptied where a person is forgotten, as a replay without the key finds it.
    """

    name: str
    kind: Kind = "text"
    names: tuple[str, ...] = ()
    at: Literal["entry", "event", "campaign"] = "entry"
    times: tuple[str, str] | None = None
    fixed: Mapping[str, str] = field(default_factory=dict)
    personal: bool = False

    @property
    def read(self) -> tuple[str, ...]:
        return self.names or (self.name,)

    @property
    def present(self) -> str:
        """SQL: whether it has a value."""
        return f"{self.name} != ''" if self.kind == "text" else f"isNotNull({self.name})"


@dataclass(frozen=True, slots=True)
class FactTable:
    """One table. `entries`: the property with the list of which each entry is a row; None: the event is. `wanted`: a
    row has a value in one of these columns, else it is left out. `word`: stands in every event that has such a row, so
    that the others are not parsed."""

    name: str
    types: frozenset[str]
    columns: tuple[Column, ...]
    entries: str | None = None
    wanted: tuple[str, ...] = ()
    word: str = ""

    def statement(self) -> str:
        common = [f"    {name} {type_}" for name, type_ in _COMMON]
        columns = ",\n".join([*common, *(f"    {column.name} {_TYPES[column.kind]}" for column in self.columns)])
        return (
            f"CREATE TABLE {self.name} (\n{columns}\n) ENGINE = ReplacingMergeTree ORDER BY ({KEY})\n"
            "  SETTINGS index_granularity = 1024"
        )

    @property
    def personal(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.personal)

    @property
    def kept(self) -> tuple[str, ...]:
        """The names of the columns that stay where a person is forgotten."""
        return (*COMMON, *(column.name for column in self.columns if not column.personal))

    @property
    def stays(self) -> str:
        """SQL: whether a row stays where its person is forgotten."""
        wanted = [column.present for column in self.columns if column.name in self.wanted and not column.personal]
        return f"({' OR '.join(wanted)})" if wanted else "0" if self.wanted else "1"


def _types(thing: str, *verbs: str) -> frozenset[str]:
    return frozenset(f"{thing}.{verb}" for verb in verbs)


ORDER_LINES: Final = FactTable(
    "order_lines",
    frozenset({orders.PLACED, orders.UPDATED, orders.REFUNDED, orders.CONTINUED}),
    (
        Column("product", names=("sku", "product_id")),
        Column("name"),
        Column("category"),
        Column("brand"),
        Column("variant"),
        Column("coupon"),
        Column("quantity", "number"),
        Column("price", "number"),
        Column("amount", "number", times=("price", "quantity")),
        Column("discount", "number"),
        Column("currency", at="event"),
        Column("store", names=("affiliation",), at="event"),
    ),
    entries="products",
)

_CALLS: Final = _types("call", "started", "answered", "missed", "ended", "transferred")
_FROM_CUSTOMER: Final = (
    "email.received",
    "sms.received",
    "live_chat_conversation.started",
    "live_chat_message.sent",
    "social.mentioned",
    "social.commented",
)
_IN_PERSON: Final = ("meeting.held", "visit.made", "document.sent")
_CONTACT_IDS: Final = (
    *("call_id", "conversation_id", "meeting_id", "visit_id", "document_id"),
    *("ticket_id", "message_id", "post_id"),
)
_FROM_COMPANY: Final = ("email.sent", "sms.sent", "live_chat_message.received", "ticket.replied")

INTERACTIONS: Final = FactTable(
    "interactions",
    _CALLS | {*_FROM_CUSTOMER, *_FROM_COMPANY, *_IN_PERSON, "live_chat_conversation.ended", "sms.failed"},
    (
        Column("contact", names=_CONTACT_IDS, personal=True),
        Column(
            "direction",
            fixed=dict.fromkeys(_FROM_CUSTOMER, "inbound") | dict.fromkeys(_FROM_COMPANY, "outbound"),
        ),
        Column("agent", names=("agent_id",)),
        Column("queue"),
        Column("outcome", fixed={"call.missed": "missed", "call.answered": "answered", "sms.failed": "failed"}),
        Column("campaign", names=("campaign_id",)),
        Column("wait_s", "number"),
        Column("talk_s", "number"),
        Column("cost", "number"),
        Column("currency"),
    ),
)

TICKET_STEPS: Final = FactTable(
    "ticket_steps",
    _types("ticket", "opened", "assigned", "replied", "pending", "solved", "reopened", "escalated", "closed"),
    (
        Column("id", names=("ticket_id",), personal=True),
        Column("kind"),
        Column("topic"),
        Column("through", names=("channel",)),
        Column("agent", names=("agent_id",)),
        Column("team"),
        Column("priority"),
        Column("sla_due", "moment", personal=True),
        Column("minutes", "number"),
    ),
)

LEAD_STEPS: Final = FactTable(
    "lead_steps",
    _types("lead", "created", "assigned", "contacted", "qualified", "disqualified", "converted"),
    (
        Column("id", names=("lead_id",), personal=True),
        Column("origin", names=("source",)),
        Column("campaign", names=("campaign_id",)),
        Column("owner"),
        Column("reason"),
        Column("value", "number"),
        Column("currency"),
    ),
)

DEAL_STEPS: Final = FactTable(
    "deal_steps",
    _types("deal", "created", "stage_changed", "won", "lost", "reopened"),
    (
        Column("id", names=("deal_id",), personal=True),
        Column("account", names=("account_id",)),
        Column("pipeline"),
        Column("stage"),
        Column("amount", "number"),
        Column("currency"),
        Column("probability", "number"),
        Column("close_date", "moment"),
        Column("owner"),
        Column("reason"),
        Column("competitor"),
        Column("region"),
    ),
)

INVOICE_STEPS: Final = FactTable(
    "invoice_steps",
    _types("invoice", "issued", "paid", "overdue", "void"),
    (
        Column("id", names=("document_id",), personal=True),
        Column("account", names=("account_id",)),
        Column("amount", "number"),
        Column("currency"),
        Column("due_at", "moment"),
        Column("method"),
    ),
)

TOUCHES: Final = FactTable(
    "touches",
    frozenset(
        {
            *_types("email", "sent", "delivered", "opened", "bounced", "unsubscribed"),
            *_types("sms", "sent", "delivered", "clicked"),
            *_CALLS,
            *("email_link.clicked", "lead.created", "page.viewed", "screen.viewed"),
        }
    ),
    (
        Column("campaign", names=("campaign_id",)),
        Column("utm_campaign", names=("name",), at="campaign", personal=True),
        Column("utm_source", names=("source",), at="campaign", personal=True),
        Column("utm_medium", names=("medium",), at="campaign", personal=True),
        Column("utm_term", names=("term",), at="campaign", personal=True),
        Column("utm_content", names=("content",), at="campaign", personal=True),
        Column("cost", "number"),
        Column("currency"),
    ),
    wanted=("campaign", "utm_campaign", "utm_source", "utm_medium"),
    word="campaign",
)

ANSWERS: Final = FactTable(
    "answers",
    _types("survey", "sent", "answered"),
    (
        Column("survey", names=("survey_id",), personal=True),
        Column("response", names=("response_id",), personal=True),
        Column("kind"),
        Column("about"),
        Column("score", "number"),
        Column("scale_min", "number"),
        Column("scale", "number"),
    ),
)

POINTS: Final = FactTable(
    "points",
    _types("points", "earned", "redeemed", "expired", "corrected"),
    (
        Column("programme"),
        Column("points", "number"),
        Column("lot", names=("lot_id",), personal=True),
        Column("expires_at", "moment", personal=True),
        Column("reason"),
    ),
)

CATALOGUE_ROWS: Final = FactTable(
    "catalogue_rows",
    frozenset({"product.updated", "product.stock_changed", "price.changed"}),
    (
        Column("sku"),
        Column("valid_from", "moment"),
        Column("name"),
        Column("category"),
        Column("brand"),
        Column("price", "number"),
        Column("cost", "number"),
        Column("currency"),
        Column("stock", "number"),
    ),
    wanted=("sku",),
    word="sku",
)

ALL: Final = (
    ORDER_LINES,
    INTERACTIONS,
    TICKET_STEPS,
    LEAD_STEPS,
    DEAL_STEPS,
    INVOICE_STEPS,
    TOUCHES,
    ANSWERS,
    POINTS,
    CATALOGUE_ROWS,
)

_MARKED: Final[Mapping[str, frozenset[str]]] = {
    row.type: frozenset(field.name for field in row.fields if field.fact) for each in SETS for row in each.events
}
"""Event type -> its properties that are facts, in its newest version."""


def readable(table: FactTable, type_: str) -> tuple[str, ...]:
    """The properties of an event of this type that a row may hold: facts, and for personal columns what goes with its
    person. A property that the type's schema does not know is sealed, whatever it is called."""
    names = {table.entries} if table.entries else set()
    for column in table.columns:
        if column.at == "event" or (column.at == "entry" and table.entries is None):
            names.update(name for name in column.read if column.personal or name in _MARKED[type_])
    return tuple(sorted(names))


THINGS: Final[Mapping[str, FactTable]] = {
    "tickets": TICKET_STEPS,
    "leads": LEAD_STEPS,
    "deals": DEAL_STEPS,
    "invoices": INVOICE_STEPS,
}
"""View -> the steps of the things whose latest state it shows."""
