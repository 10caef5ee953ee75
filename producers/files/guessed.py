"""A guess of a mapping, and its text as TOML with its doubts as comments."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from producers.files.columns import folded
from producers.files.mapping import Format

PEOPLE: Final = ("email", "phone", "user_id", "loyalty_card")
_TRAITS: Final = ("email", "phone", "first_name", "last_name", "name", "city", "state", "country", "address",
                  "postal_code", "birthday", "gender")  # fmt: skip
_COMPANY: Final = ("industry", "employees", "website", "city", "country", "phone", "email")


@dataclass
class Guess:
    """`kind` of the file, column by meaning, and what is doubtful, for people."""

    kind: str
    columns: dict[str, str]
    why: dict[str, str]
    doubts: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    format: str | None = None
    calendar: str | None = None
    zone: str | None = None
    region: str | None = None
    currency: str | None = None
    decimal: str | None = None
    made_of: tuple[str, ...] = ()
    """Columns that make an order's number, where the file has none."""


def toml(guess: Guess, path: Path, form: Format, channel: str | None) -> Iterator[str]:
    yield f"# A guess from the first rows of {quoted(path.name)}. Check it, then try it with --dry-run."
    for doubt in guess.doubts:
        yield f"# CHECK: {doubt}"
    yield f'kind = "{guess.kind}"'
    yield f"name = {quoted(_slug(path))}            # part of every event's id: keep it the same"
    yield f'channel = "{channel or ("pos" if guess.kind == "orders" else "server")}"'
    if guess.region:
        yield f'region = "{guess.region}"             # of phone numbers without a country'
    if guess.currency:
        yield f'currency = "{guess.currency}"'
    yield from _rows(guess)
    yield from _format(guess, form)
    when = guess.columns.get("time") or guess.columns.get("updated")
    if when:
        yield "\n[time]"
        yield f"column = {quoted(when)}" + _because(guess, "time")
        if "clock" in guess.columns:
            yield f"clock = {quoted(guess.columns['clock'])}"
        if guess.format:
            yield f'format = "{guess.format}"'
        if guess.calendar:
            yield f'calendar = "{guess.calendar}"'
        if guess.zone:
            yield f'zone = "{guess.zone}"'
    for meaning in PEOPLE:
        if meaning in guess.columns and guess.kind != "accounts":
            yield "\n[[identifiers]]"
            yield f"column = {quoted(guess.columns[meaning])}" + _because(guess, meaning)
            yield f'type = "{meaning}"'
    yield from _sections(guess)


def _rows(guess: Guess) -> Iterator[str]:
    columns = guess.columns
    if guess.kind in ("people", "accounts") and "account" in columns:
        yield f"account = {quoted(columns['account'])}" + _because(guess, "account")
    if guess.kind == "leads" and (own := columns.get("lead") or columns.get("id")):
        yield f"id = {quoted(own)}"
    if guess.kind == "events":
        if "id" in columns:
            yield f"id = {quoted(columns['id'])}" + _because(guess, "id")
        if "event" in columns:
            yield f"type_column = {quoted(columns['event'])}" + _because(guess, "event")
        else:
            yield 'type = "imported"            # CHECK: no column has the event\'s type'


def _format(guess: Guess, form: Format) -> Iterator[str]:
    lines = []
    if form.delimiter not in (None, ","):
        lines.append(f"delimiter = {quoted(form.delimiter or '')}")
    if form.encoding not in (None, "utf-8", "utf-8-sig"):
        lines.append(f"encoding = {quoted(form.encoding or '')}")
    if guess.decimal == ",":
        lines.append('decimal = ","')
    if lines:
        yield "\n[format]"
        yield from lines


def _sections(guess: Guess) -> Iterator[str]:
    columns = guess.columns
    if guess.kind == "orders":
        yield "\n[document]"
        if "document" in columns:
            yield f"column = {quoted(columns['document'])}" + _because(guess, "document")
        else:
            yield f"columns = [{', '.join(map(quoted, guess.made_of))}]"
        yield "\n[line]"
        for meaning, name in (("sku", "sku"), ("name", "product_name"), ("quantity", "quantity"), ("price", "price"),
                              ("amount", "amount"), ("discount", "discount"), ("tax", "tax")):  # fmt: skip
            if name in columns:
                yield f"{meaning} = {quoted(columns[name])}" + _because(guess, name)
        yield from _table("line.properties", guess, ("category", "brand"))
        if {"total", "currency"} & columns.keys():
            yield "\n[order]"
            for name in ("total", "currency"):
                if name in columns:
                    yield f"{name} = {quoted(columns[name])}" + _because(guess, name)
        yield from _table("order.properties", guess, ("store", "coupon"))
        traits = tuple(one for one in _TRAITS if one not in ("email", "phone"))
        if any(one in columns for one in PEOPLE):
            yield from _table("traits", guess, traits)
        return
    yield from _table("traits", guess, _COMPANY if guess.kind == "accounts" else _TRAITS, others=guess.kind != "events")
    if guess.kind == "leads":
        yield from _table("properties", guess, ("lead_source", "owner", "status"))
    if guess.kind == "events":
        yield from _table("properties", guess, (), others=True)


def _table(title: str, guess: Guess, meanings: Sequence[str], *, others: bool = False) -> Iterator[str]:
    """A table of names and columns; with `others`, the columns without a meaning under their own names, too."""
    lines = []
    for meaning in meanings:
        if meaning in guess.columns:
            name = {"lead_source": "source"}.get(meaning, meaning)
            lines.append(f"{name} = {_cell(guess.columns[meaning], meaning)}" + _because(guess, meaning))
    if others:
        taken = {line.partition(" =")[0] for line in lines}
        lines += [f"{quoted(column)} = {quoted(column)}" for column in guess.others if column not in taken]
    if lines:
        yield f"\n[{title}]"
        yield from lines


def _cell(column: str, meaning: str) -> str:
    read = {"birthday": "date", "phone": "phone", "employees": "number"}.get(meaning)
    return f'{{column = {quoted(column)}, read = "{read}"}}' if read else quoted(column)


def _because(guess: Guess, meaning: str) -> str:
    return f"            # {guess.why[meaning]}" if guess.why.get(meaning) == "by its values" else ""


def quoted(text: str) -> str:
    """As a TOML string."""
    return '"' + "".join(c if c.isprintable() and c not in '"\\' else f"\\u{ord(c):04x}" for c in text) + '"'


def _slug(path: Path) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", folded(path.stem)).strip("-")
    slug = re.sub(r"-?\d+$", "", slug) or slug
    return slug[:60].strip("-") or "file"
