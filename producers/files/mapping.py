"""The mapping: which column of a file means what. A TOML or JSON file, checked before the first row is read.

`kind` says what a row is: a line of an order (`OrderMapping`), or a person, an account, a lead, an event
(`RowMapping`). See docs/import.md for every field with an example.
"""

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Literal, Self

import orjson
from pydantic import Field, ValidationError, model_validator

from producers.files.mapping_parts import (
    KIND_BY_ENDING,
    Column,
    Common,
    FileKind,
    Format,
    Read,
    Time,
    Values,
    numbers_of,
)
from producers.files.order_mapping import OrderMapping
from schemas.errors import InvalidInput

__all__ = ["FileKind", "Format", "Mapping", "OrderMapping", "Read", "RowMapping", "Values", "kind_of", "load_mapping"]


class RowMapping(Common):
    """Kinds of which each row is one event. `producers.files.kinds` says what each of them needs and becomes."""

    kind: Literal["people", "accounts", "leads", "events"]
    id: Column | None = None
    """The row's own id: a contact's, a lead's, an event's."""
    time: Time | None = None
    """When the row was true. None: now."""
    account: Column | None = None
    """The id or name of the account: which the row is about (accounts), which the person belongs to (people), or which
    the event belongs to."""
    role: Column | None = None
    """The person's role in the account."""
    reports_to: Column | None = None
    """Whom the person reports to there: a user id, an email address or `type:value`."""
    parent: Column | None = None
    """Of accounts: the id or name of the account that it is a branch of."""
    type: str | None = None
    """The type of all events."""
    type_column: Column | None = None
    """The column with the type of each event."""
    properties: Values = Field(default_factory=dict)

    @property
    def when(self) -> Time | None:
        return self.time

    def needed_columns(self) -> tuple[str, ...]:
        named = [self.id, *(self.time.columns if self.time else ()), self.type_column]
        wanted = [one for one in named if one is not None]
        if self.kind == "accounts" and self.account is not None:
            wanted.append(self.account)
        return tuple(dict.fromkeys([*wanted, *[one.column for one in self.identifiers]]))

    def columns(self) -> tuple[str, ...]:
        named = (self.account, self.role, self.reports_to, self.parent)
        wanted = [*self.needed_columns(), *[one for one in named if one is not None]]
        wanted += [one.column for one in self.properties.values()]
        return tuple(dict.fromkeys([*wanted, *self._about_people()]))

    def number_columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(numbers_of(self.traits, self.properties)))

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.kind in ("people", "leads") and not self.identifiers:
            raise ValueError(f"{self.kind} need [[identifiers]]: without one, a row is nobody's")
        if self.kind == "accounts" and self.account is None:
            raise ValueError("accounts need account: the column of its id or name")
        if (self.role or self.reports_to) and not (self.kind in ("people", "accounts") and self.account):
            raise ValueError("role and reports_to are of people in an account; name it, or leave them out")
        if self.parent and self.kind != "accounts":
            raise ValueError("parent is of accounts; leave it out")
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
        return parse_mapping(tomllib.loads(text_of(str(given))), str(given))
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


def text_of(shipped: str) -> str:
    """The TOML of a shipped mapping."""
    return (files("producers.files") / "shipped" / f"{shipped}.toml").read_text("utf-8")


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
