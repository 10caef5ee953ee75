"""Tables of facts, as data: what each reads, its columns and its key. The next table is one more entry here.

A row is an event of certain types, or one entry of a list in its properties. Rows are narrow, and functions of their
event alone: state, history and balances are views over them. Every table has the columns of `COMMON` and this key, so
rows that are written again collapse. `docs/facts.md` says how they are made, and how to add one.
"""

from dataclasses import dataclass
from typing import Final, Literal

from schemas import orders

Kind = Literal["text", "number"]
_TYPES: Final[dict[Kind, str]] = {"text": "String CODEC(ZSTD(1))", "number": "Nullable(Decimal(38, 6)) CODEC(ZSTD(1))"}

COMMON: Final = """    node   UInt128,
    time   DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    part   UInt16,
    off    UInt64 CODEC(Delta, ZSTD(1)),
    n      UInt32,
    type   LowCardinality(String),
    source LowCardinality(String),
    key    UInt128 CODEC(NONE),
    doc    UInt128 CODEC(ZSTD(1))"""
"""Anchor and time of the event, its place in the log, the place of the row in the event, and the event's type, source
and key. `doc`: the document that it is about, such as an order; 0: none."""
KEY: Final = "node, time, part, off, n"


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `names`: the properties that may hold it, the first with a value counts; by default the one of its
    own name. `times`: two columns whose product it is where none has. `outer`: it is read from the event, not from the
    entry.

    Text is '' where there is none, a number NULL. What is read must be marked as a fact in the schemas: everything else
    is sealed, and a table must not outlive it.
    """

    name: str
    kind: Kind
    names: tuple[str, ...] = ()
    times: tuple[str, str] | None = None
    outer: bool = False

    @property
    def read(self) -> tuple[str, ...]:
        return self.names or (self.name,)


@dataclass(frozen=True, slots=True)
class FactTable:
    """One table. `entries`: the property with the list of which each entry is a row; None: the event is."""

    name: str
    types: frozenset[str]
    columns: tuple[Column, ...]
    entries: str | None = None

    def statement(self) -> str:
        columns = ",\n".join([COMMON, *(f"    {column.name} {_TYPES[column.kind]}" for column in self.columns)])
        return (
            f"CREATE TABLE {self.name} (\n{columns}\n) ENGINE = ReplacingMergeTree ORDER BY ({KEY})\n"
            "  SETTINGS index_granularity = 1024"
        )


ORDER_LINES: Final = FactTable(
    "order_lines",
    frozenset({orders.PLACED, orders.UPDATED, orders.REFUNDED, orders.CONTINUED, orders.CONTINUED_BEFORE}),
    (
        Column("product", "text", ("sku", "product_id")),
        Column("name", "text"),
        Column("category", "text"),
        Column("brand", "text"),
        Column("variant", "text"),
        Column("coupon", "text"),
        Column("quantity", "number"),
        Column("price", "number"),
        Column("amount", "number", times=("price", "quantity")),
        Column("discount", "number"),
        Column("currency", "text", outer=True),
        Column("store", "text", ("affiliation",), outer=True),
    ),
    entries="products",
)

ALL: Final = (ORDER_LINES,)
