"""The mapping: which column of a file means what. A TOML or JSON file, checked before the first row is read.

See docs/import.md for every field with an example.
"""

import re
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from schemas.errors import InvalidInput

FileKind = Literal["csv", "tsv", "jsonl", "parquet", "xlsx"]

_KIND_BY_ENDING: dict[str, FileKind] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".xlsx": "xlsx",
}

Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[a-z0-9][a-z0-9_-]*$")]
Column = Annotated[str, Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Format(_Part):
    """The format of the file. The default of `kind` comes from the file's ending."""

    kind: FileKind | None = None
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    encoding: str = "utf-8"
    decimal: Literal[".", ","] = "."
    blanks: frozenset[str] = frozenset({"", "NULL", "null", "NaN", "nan", "N/A"})
    """Texts that mean "no value"."""

    @field_validator("delimiter")
    @classmethod
    def _can_delimit(cls, value: str | None) -> str | None:
        if value is not None and value in '"\r\n':
            raise ValueError("cannot separate columns; write the character between them, for example ;")
        return value

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            "".encode(value)
        except LookupError:
            raise ValueError("is no encoding that Python knows; for example utf-8 or cp1252") from None
        return value


class Document(_Part):
    """The column whose value groups lines into one order, and how a cancelled one is recognised."""

    column: Column
    cancelled_prefix: str = ""
    """A document whose number starts with this is a refund."""
    cancelled_when_negative: bool = True
    """A document is a refund when its total is below zero, or zero with negative quantities only."""


class Time(_Part):
    """`format`: a strptime pattern, `epoch_seconds` or `epoch_ms`; absent: ISO 8601, or the file's own type.

    `zone` holds for times that carry no zone of their own.
    """

    column: Column
    format: str | None = None
    zone: str = "UTC"

    @field_validator("format")
    @classmethod
    def _known_directives(cls, value: str | None) -> str | None:
        if value is None or value in ("epoch_seconds", "epoch_ms"):
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
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("is no time zone; write an IANA name such as Europe/London or Asia/Tehran") from None
        return value


class IdentifierColumn(_Part):
    column: Column
    type: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]


class LineColumns(_Part):
    """The columns of one line of a document."""

    sku: Column
    quantity: Column
    price: Column
    """The price of one piece, in the mapping's currency."""
    name: Column | None = None


class Mapping(_Part):
    name: Name
    """Names the source of the file. The event's id is made from it and the document's number: keep it the same."""
    channel: Name | None = None
    """Overridden by `simorgh import --channel`."""
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    format: Format = Format()
    document: Document
    time: Time
    line: LineColumns
    identifiers: tuple[IdentifierColumn, ...] = ()
    """In the order of trust; a line without any is kept as an event that belongs to nobody."""
    traits: dict[str, Column] = {}
    """Trait name -> column: sent once per customer, and again whenever it changes."""

    @model_validator(mode="after")
    def _traits_need_somebody(self) -> "Mapping":
        if self.traits and not self.identifiers:
            raise ValueError("[traits] needs [[identifiers]]: a trait belongs to somebody")
        return self

    def needed_columns(self) -> tuple[str, ...]:
        """The columns that every line of an order needs, each once."""
        line = self.line
        return tuple(dict.fromkeys([self.document.column, self.time.column, line.sku, line.quantity, line.price]))

    def columns(self) -> tuple[str, ...]:
        """The columns to read, each once; the needed ones first."""
        wanted = list(self.needed_columns())
        wanted += [self.line.name] if self.line.name else []
        wanted += [identifier.column for identifier in self.identifiers]
        wanted += self.traits.values()
        return tuple(dict.fromkeys(wanted))


def load_mapping(path: Path) -> Mapping:
    """Read a .toml or .json mapping. Raises `InvalidInput` that names every fault at once."""
    try:
        raw = path.read_bytes()
        content = orjson.loads(raw) if path.suffix == ".json" else tomllib.loads(raw.decode())
    except OSError as error:
        raise InvalidInput(
            f"mapping {path}: wanted a TOML or JSON file, got {error.strerror}; name a file that can be read",
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
    return parse_mapping(content, str(path))


def parse_mapping(content: object, where: str = "mapping") -> Mapping:
    """Check a mapping that is already decoded."""
    try:
        return Mapping.model_validate(content)
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
    kind = given or _KIND_BY_ENDING.get(path.suffix.lower())
    if kind is None:
        raise InvalidInput(
            f"{path.name}: wanted a known ending, got another; "
            f"write [format] kind = one of {', '.join(sorted(set(_KIND_BY_ENDING.values())))} in the mapping",
            code="unknown_file_kind",
        )
    return kind
