"""The mapping: which column of a file means what. A TOML or JSON file, checked before the first row is read.

`kind` says what a row is: a line of an order (`OrderMapping`), or a person, an account, a lead, an event
(`RowMapping`). See docs/import.md for every field with an example.
"""

import re
import tomllib
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from identity.normalise import is_region
from producers.files.dates import EPOCHS, Calendar, jalali_pattern
from producers.files.numbers import DecimalMark
from schemas.errors import InvalidInput

FileKind = Literal["csv", "tsv", "jsonl", "parquet", "xlsx"]

KIND_BY_ENDING: Final[dict[str, FileKind]] = {
    ".csv": "csv",
    ".txt": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
}

Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[a-z0-9][a-z0-9_-]*$")]
Column = Annotated[str, Field(min_length=1)]
CurrencyCode = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Read = Literal["text", "number", "date", "time", "yes_no", "phone"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Format(_Part):
    """The format of the file. What is None is recognised: the kind by the file's ending, the rest by its content."""

    kind: FileKind | None = None
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    separator: str | None = None
    """A regular expression between columns, for files of fixed columns: `\\s+` is a run of blanks."""
    header: tuple[Column, ...] | None = None
    """The columns' names, if the file has no first line with them."""
    encoding: str | None = None
    decimal: DecimalMark | None = None
    blanks: frozenset[str] = frozenset({"", "NULL", "null", "NaN", "nan", "N/A", "#N/A", "(null)", "(blank)", "\\N"})
    """Texts that mean "no value"."""

    @field_validator("delimiter")
    @classmethod
    def _can_delimit(cls, value: str | None) -> str | None:
        if value is not None and value in '"\r\n':
            raise ValueError("cannot separate columns; write the character between them, for example ;")
        return value

    @field_validator("separator")
    @classmethod
    def _is_expression(cls, value: str | None) -> str | None:
        try:
            if value is not None and re.compile(value).fullmatch(""):
                raise ValueError("also matches nothing; write an expression for at least one character, such as \\s+")
        except re.error as error:
            raise ValueError(f"is no regular expression: {error}") from None
        return value

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str | None) -> str | None:
        try:
            "".encode(value or "utf-8")
        except LookupError:
            raise ValueError("is no encoding that Python knows; for example utf-8 or cp1252") from None
        return value

    @model_validator(mode="after")
    def _one_separator(self) -> Self:
        if self.delimiter is not None and self.separator is not None:
            raise ValueError("wanted delimiter or separator, got both; leave one out")
        return self


class Time(_Part):
    """`format`: a strptime pattern, `epoch_seconds` or `epoch_ms`; absent: ISO 8601, a Jalali date, a spreadsheet's day
    or the file's own type. `zone` holds for times that carry no zone of their own; None: the source's, or UTC.
    """

    column: Column
    format: str | None = None
    zone: str | None = None
    calendar: Calendar = "auto"

    @field_validator("format")
    @classmethod
    def _known_directives(cls, value: str | None) -> str | None:
        if value is None or value in EPOCHS:
            return value
        if "%" not in value:
            raise ValueError("wanted a strptime pattern such as %d.%m.%Y %H:%M, epoch_seconds or epoch_ms")
        try:
            datetime.strptime("", value)
        except ValueError as error:
            if "directive" in str(error) or "stray" in str(error):
                raise ValueError(f"is no strptime pattern: {error}") from None
        except re.error:
            raise ValueError("is no strptime pattern: a part comes twice") from None
        return value

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        try:
            ZoneInfo(value or "UTC")
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("is no time zone; write an IANA name such as Europe/London or Asia/Tehran") from None
        return value

    @model_validator(mode="after")
    def _jalali_directives(self) -> Self:
        if self.calendar == "jalali" and self.format is not None and self.format not in EPOCHS:
            jalali_pattern(self.format)
        return self


class IdentifierColumn(_Part):
    column: Column
    type: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]


class Cell(_Part):
    """A column and how its cells are read. In a mapping, a column's name alone means text."""

    column: Column
    read: Read = "text"


def _as_cell(value: object) -> object:
    return {"column": value} if isinstance(value, str) else value


Value = Annotated[Cell, BeforeValidator(_as_cell)]
Values = dict[Annotated[str, Field(min_length=1, max_length=100)], Value]


class Common(_Part):
    """What the mappings of all kinds have in common."""

    name: Name
    """Names the source of the file. The event's id is made from it and the row's own id: keep it the same."""
    channel: Name | None = None
    """Overridden by `simorgh import --channel`."""
    source: Name | None = None
    """A declared source, whose settings (currency, region, time zone, book, clock, aliases) hold for the file."""
    files: tuple[str, ...] = ("*",)
    """Patterns of the names of files in a watched folder that this mapping is for."""
    currency: CurrencyCode | None = None
    """Of amounts without one. None: the source's."""
    region: str | None = None
    """The country (ISO 3166) of phone numbers without one. None: the source's."""
    columns_may_be_missing: bool = False
    """Whether a file may lack columns that not every row needs: exports of different versions of one program."""
    format: Format = Format()
    identifiers: tuple[IdentifierColumn, ...] = ()
    """The most certain first."""
    traits: Values = {}
    """Trait name -> column."""

    @field_validator("region")
    @classmethod
    def _known_region(cls, value: str | None) -> str | None:
        if value is not None and not is_region(value):
            raise ValueError("is no country with phone numbers; write ISO 3166's letters, such as IR or DE")
        return value

    @property
    def when(self) -> Time | None:
        """The time of a row."""
        raise NotImplementedError

    def needed_columns(self) -> tuple[str, ...]:
        """The columns that every row needs, each once."""
        raise NotImplementedError

    def columns(self) -> tuple[str, ...]:
        """The columns to read, each once; the needed ones first."""
        raise NotImplementedError

    def number_columns(self) -> tuple[str, ...]:
        """The columns of numbers."""
        raise NotImplementedError

    def optional_columns(self) -> frozenset[str]:
        """The columns that a file may lack."""
        if not self.columns_may_be_missing:
            return frozenset()
        return frozenset(self.columns()).difference(self.needed_columns())

    def _about_people(self) -> list[str]:
        return [one.column for one in self.identifiers] + [one.column for one in self.traits.values()]


def _numbers_of(*values: Values) -> list[str]:
    return [one.column for some in values for one in some.values() if one.read == "number"]


class Document(_Part):
    """What groups lines into one order, and how a cancelled one is recognised."""

    column: Column | None = None
    columns: tuple[Column, ...] = ()
    """For files without an order's number: it is made of the texts of these columns."""
    cancelled_prefix: str = ""
    """A document whose number starts with this is a refund."""
    cancelled_when_negative: bool = True
    """A document is a refund when its total is below zero, or zero with negative quantities only."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.column is None) == (not self.columns):
            raise ValueError("wanted column (the order's number), or columns (that make one), got both or neither")
        return self

    @property
    def parts(self) -> tuple[str, ...]:
        return self.columns if self.column is None else (self.column,)


class LineColumns(_Part):
    """The columns of one line of a document."""

    sku: Column | None = None
    name: Column | None = None
    quantity: Column | None = None
    price: Column | None = None
    """The price of one piece."""
    amount: Column | None = None
    """What the whole line costs, after its discount. It counts as it stands; without it, the line's amount is
    quantity × price less discount, rounded half up to the currency's places."""
    discount: Column | None = None
    tax: Column | None = None
    properties: Values = {}
    """Anything else of a product: category, brand, variant, coupon …"""

    @property
    def has_money(self) -> bool:
        return self.amount is not None or (self.price is not None and self.quantity is not None)


class OrderColumns(_Part):
    """The columns of the whole order. The value is that of the first line which has one."""

    currency: Column | None = None
    revenue: Column | None = None
    """Without shipping and tax. It counts as it stands; without it, the sum of the lines less `discount`."""
    total: Column | None = None
    """With shipping and tax."""
    shipping: Column | None = None
    tax: Column | None = None
    discount: Column | None = None
    refunded: Column | None = None
    """An amount that was given back: also makes an `order.refunded`."""
    cancelled_at: Column | None = None
    """A time: also makes an `order.cancelled`."""
    properties: Values = {}
    """Anything else of an order: coupon, affiliation, store, payment method …"""

    @property
    def amounts(self) -> dict[str, str]:
        """Property -> column of the amounts that become properties."""
        names = ("revenue", "total", "shipping", "tax", "discount")
        return {name: column for name in names if (column := getattr(self, name)) is not None}


class StatusColumn(_Part):
    """A column that says what became of an order. Words are compared in lower case."""

    column: Column
    left_out: frozenset[str] = frozenset()
    """Orders that never came about: failed, draft, unpaid. They are counted in the report and not sent."""
    cancelled: frozenset[str] = frozenset()
    """Also make an `order.cancelled`."""
    refunded: frozenset[str] = frozenset()
    """Also make an `order.refunded` of the whole amount."""


class OrderMapping(Common):
    kind: Literal["orders"] = "orders"
    document: Document
    time: Time
    line: LineColumns = LineColumns()
    order: OrderColumns = OrderColumns()
    status: StatusColumn | None = None

    @model_validator(mode="after")
    def _money_and_people(self) -> Self:
        if self.traits and not self.identifiers:
            raise ValueError("[traits] needs [[identifiers]]: a trait belongs to somebody")
        if not (self.line.has_money or self.order.revenue or self.order.total):
            raise ValueError("[line] needs amount, or quantity and price; or [order] needs revenue or total")
        return self

    @property
    def when(self) -> Time:
        return self.time

    def needed_columns(self) -> tuple[str, ...]:
        line = self.line
        wanted = [*self.document.parts, self.time.column]
        wanted += [one for one in (line.sku, line.quantity, line.price, line.amount) if one is not None]
        return tuple(dict.fromkeys(wanted))

    def columns(self) -> tuple[str, ...]:
        line = self.line
        wanted = [*self.needed_columns()]
        wanted += [one for one in (line.name, line.discount, line.tax) if one is not None]
        wanted += [one.column for one in line.properties.values()]
        wanted += self.order_columns()
        return tuple(dict.fromkeys([*wanted, *self._about_people()]))

    def number_columns(self) -> tuple[str, ...]:
        line, order = self.line, self.order
        named = [line.quantity, line.price, line.amount, line.discount, line.tax, order.refunded]
        found = [one for one in named if one is not None] + list(order.amounts.values())
        found += _numbers_of(line.properties, order.properties, self.traits)
        return tuple(dict.fromkeys(found))

    def order_columns(self) -> list[str]:
        """The columns of values of the whole order."""
        order = self.order
        named = [order.currency, order.refunded, order.cancelled_at, self.status.column if self.status else None]
        found = [*order.amounts.values(), *[one for one in named if one is not None]]
        return list(dict.fromkeys([*found, *[one.column for one in order.properties.values()]]))


class RowMapping(Common):
    """Kinds of which each row is one event. `producers.files.kinds` says what each of them needs and becomes."""

    kind: Literal["people", "accounts", "leads", "events"]
    id: Column | None = None
    """The row's own id: a contact's, a lead's, an event's."""
    time: Time | None = None
    """When the row was true. None: now."""
    account: Column | None = None
    """The id or name of the account: which the row is about (accounts), or which the person belongs to."""
    type: str | None = None
    """The type of all events."""
    type_column: Column | None = None
    """The column with the type of each event."""
    properties: Values = {}

    @property
    def when(self) -> Time | None:
        return self.time

    def needed_columns(self) -> tuple[str, ...]:
        named = [self.id, self.time.column if self.time else None, self.type_column]
        wanted = [one for one in named if one is not None]
        if self.kind == "accounts" and self.account is not None:
            wanted.append(self.account)
        return tuple(dict.fromkeys([*wanted, *[one.column for one in self.identifiers]]))

    def columns(self) -> tuple[str, ...]:
        wanted = [*self.needed_columns(), *([self.account] if self.account else [])]
        wanted += [one.column for one in self.properties.values()]
        return tuple(dict.fromkeys([*wanted, *self._about_people()]))

    def number_columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(_numbers_of(self.traits, self.properties)))

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.kind in ("people", "leads") and not self.identifiers:
            raise ValueError(f"{self.kind} need [[identifiers]]: without one, a row is nobody's")
        if self.kind == "accounts" and self.account is None:
            raise ValueError("accounts need account: the column of its id or name")
        if self.kind == "events" and (self.type is None) == (self.type_column is None):
            raise ValueError('events need type = "…" or type_column, and only one of them')
        if self.kind != "events" and (self.type or self.type_column):
            raise ValueError(f"{self.kind} have their own type; leave type and type_column out")
        return self


Mapping = OrderMapping | RowMapping

_KINDS: Final[dict[str, type[OrderMapping] | type[RowMapping]]] = {
    "orders": OrderMapping,
    **dict.fromkeys(("people", "accounts", "leads", "events"), RowMapping),
}


def load_mapping(given: Path | str) -> Mapping:
    """Read a .toml or .json mapping, or a shipped one by its name. Raises `InvalidInput` with every fault at once."""
    path = Path(given)
    if str(given) in shipped():
        raw = (files("producers.files") / "shipped" / f"{given}.toml").read_text("utf-8")
        return parse_mapping(tomllib.loads(raw), str(given))
    try:
        content = path.read_bytes()
        parsed = orjson.loads(content) if path.suffix == ".json" else tomllib.loads(content.decode("utf-8-sig"))
    except OSError as error:
        raise InvalidInput(
            f"mapping {path}: wanted a TOML or JSON file, got {error.strerror}; name a file that can be read, or one of"
            f" the shipped mappings: {', '.join(shipped())}",
            code="invalid_mapping",
        ) from error
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"mapping {path}: wanted text in UTF-8, got other bytes; name a TOML or JSON file", code="invalid_mapping"
        ) from error
    except ValueError as error:  # both TOML's and JSON's errors
        raise InvalidInput(
            f"mapping {path}: wanted {'JSON' if path.suffix == '.json' else 'TOML'}, got something else; fix it:"
            f" {error}",
            code="invalid_mapping",
        ) from error
    return parse_mapping(parsed, str(path))


def shipped() -> list[str]:
    """The names of the mappings that come with Simorgh."""
    found = (files("producers.files") / "shipped").iterdir()
    return sorted(one.name.removesuffix(".toml") for one in found if one.name.endswith(".toml"))


def parse_mapping(content: object, where: str = "mapping") -> Mapping:
    """Check a mapping that is already decoded."""
    kind: Any = content.get("kind", "orders") if isinstance(content, dict) else "orders"
    model = _KINDS.get(kind) if isinstance(kind, str) else None
    if model is None:
        raise InvalidInput(
            f"{where}: kind: wanted one of {', '.join(_KINDS)}, got another; fix it", code="invalid_mapping"
        )
    try:
        return model.model_validate(content)
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, fault['loc'])) or 'top level'}: {fault['msg'].removeprefix('Value error, ')}"
            for fault in error.errors(include_url=False, include_input=False)
        ]
        raise InvalidInput(
            f"{where}: wanted a valid mapping, got {len(faults)} fault(s); fix them (docs/import.md lists the fields): "
            + "; ".join(faults),
            code="invalid_mapping",
        ) from None


def kind_of(path: Path, given: FileKind | None) -> FileKind:
    """The file's kind: as given, else by its ending."""
    kind = given or KIND_BY_ENDING.get(path.suffix.lower())
    if kind is None:
        raise InvalidInput(
            f"{path.name}: wanted a known ending, got another; "
            f"write [format] kind = one of {', '.join(sorted(set(KIND_BY_ENDING.values())))} in the mapping",
            code="unknown_file_kind",
        )
    return kind
