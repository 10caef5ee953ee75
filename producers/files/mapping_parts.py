"""What the mappings of all kinds have in common: the file's format, the time, identifiers, and how cells are read."""

import re
from datetime import datetime
from hashlib import blake2b
from typing import Annotated, Final, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from identity.normalise import is_region
from producers.files.dates import EPOCHS, Calendar, jalali_pattern
from producers.files.numbers import DecimalMark

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


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Format(Part):
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


class Time(Part):
    """`format`: a strptime pattern, `epoch_seconds` or `epoch_ms`; absent: ISO 8601, a Jalali date, a spreadsheet's day
    or the file's own type. `zone` holds for times that carry no zone of their own; None: the source's, or UTC.
    """

    column: Column
    clock: Column | None = None
    """The column of the time of day, where a file keeps it apart from the day. `format` is then of both, with a blank
    between them."""
    format: str | None = None
    zone: str | None = None
    calendar: Calendar = "auto"

    @property
    def columns(self) -> tuple[Column, ...]:
        return (self.column,) if self.clock is None else (self.column, self.clock)

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


class IdentifierColumn(Part):
    column: Column
    type: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]


class Cell(Part):
    """A column and how its cells are read. In a mapping, a column's name alone means text."""

    column: Column
    read: Read = "text"


def _as_cell(value: object) -> object:
    return {"column": value} if isinstance(value, str) else value


Value = Annotated[Cell, BeforeValidator(_as_cell)]
Values = dict[Annotated[str, Field(min_length=1, max_length=100)], Value]


class Common(Part):
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

    def fingerprint(self) -> str:
        """The same for the same mapping in every process: sets have no order."""
        return blake2b(orjson.dumps(_ordered(self.model_dump()), option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]

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


def _ordered(value: object) -> object:
    if isinstance(value, dict):
        return {key: _ordered(one) for key, one in value.items()}
    if isinstance(value, frozenset):
        return sorted(value)
    return [_ordered(one) for one in value] if isinstance(value, tuple) else value


def numbers_of(*values: Values) -> list[str]:
    return [one.column for some in values for one in some.values() if one.read == "number"]
