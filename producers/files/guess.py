"""A mapping for a file that has none: guessed from its columns' names (`columns`) and from its values.

A guess is a draft for a person: every line says why it is there, and what could not be guessed is said first.
"""

import re
import tomllib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time
from itertools import islice
from pathlib import Path
from typing import Final

from producers.files.columns import BY_WORD, PRODUCTS, folded
from producers.files.dates import JALALI, read_time
from producers.files.guessed import PEOPLE, Guess, quoted, toml
from producers.files.mapping import Mapping, RowMapping, load_mapping, parse_mapping, shipped, text_of
from producers.files.numbers import decimal_mark, read_number
from producers.files.reader import columns_of, read_rows
from producers.files.recognise import recognised
from producers.money import USUAL, currency_of, places
from schemas.digits import ascii_digits
from schemas.errors import InvalidInput

_ROWS: Final = 500
_MOST_OF: Final = 0.6


_EMAIL: Final = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")
_PHONE: Final = re.compile(r"(?:\+|00)?[0-9][0-9 ()./-]{7,18}[0-9]", re.ASCII)
_IRANIAN: Final = re.compile(r"(?:\+98|0098|98|0)?9[0-9]{9}", re.ASCII)
_PERSIAN: Final = re.compile(r"[پچژگکی]")
_CLOCK: Final = re.compile(r"[0-9]{1,2}:[0-9]{2}(:[0-9]{2})?( ?[AaPp][Mm])?|[0-2]?[0-9][0-5][0-9]", re.ASCII)
_DAY_FORMS: Final = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d.%m.%y", "%d/%m/%y", "%m/%d/%y")
_CLOCKS: Final = ("", " %H:%M", " %H:%M:%S", " %I:%M %p")


def guess_mapping(path: Path, channel: str | None = None) -> str:
    """The mapping as TOML with comments. Raises `InvalidInput` if the file cannot be read, or nothing fits."""
    opened = _opened(path)
    columns = columns_of(path, opened.format)
    if (known := _shipped_for(columns)) is not None:
        return (
            f"# {quoted(path.name)} has the columns of an export that the shipped mapping {known} is for:\n"
            f"# --mapping {known} does the same as this copy of it.\n"
            f"{text_of(known)}"
        )
    rows = [row.values for row in islice(read_rows(path, opened.format, columns), _ROWS) if not row.fault]
    samples = {column: _texts(rows, n) for n, column in enumerate(columns)}
    guess = _guess(columns, samples, path)
    text = "\n".join(toml(guess, path, opened.format, channel)) + "\n"
    _check(text, path)
    return text


def _shipped_for(columns: Sequence[str]) -> str | None:
    """The shipped mapping whose needed columns are all there, and most of its others."""
    for name in shipped():
        mapping = load_mapping(name)
        there = set(mapping.columns()).intersection(columns)
        if there.issuperset(mapping.needed_columns()) and len(there) >= _MOST_OF * len(mapping.columns()):
            return name
    return None


def _opened(path: Path) -> RowMapping:
    """A mapping that names no column, for recognising the format."""
    bare = RowMapping(kind="events", name="guess", type="guess")
    form, _ = recognised(path, bare)
    return bare.model_copy(update={"format": form})


def _texts(rows: Sequence[tuple[object, ...]], n: int) -> list[object]:
    return [row[n] for row in rows if row[n] is not None and str(row[n]).strip()]


def _guess(columns: Sequence[str], samples: dict[str, list[object]], path: Path) -> Guess:
    found, why = _meanings(columns, samples)
    kind = _kind(found, path)
    guess = Guess(kind, found, why)
    guess.others = [column for column in columns if column not in found.values()]
    if any(_EMAIL.fullmatch(name) or _reads(name) for name in columns):
        guess.doubts.append("the first line looks like a row, not like names: set header in [format]")
    _see_people(guess, samples)
    if kind == "orders":
        _see_money(guess, samples)
    when = found.get("time") or found.get("updated")
    if when:
        _see_time(guess, samples[when], _clock_form(samples[found["clock"]]) if "clock" in found else None)
    return guess


def _meanings(columns: Sequence[str], samples: dict[str, list[object]]) -> tuple[dict[str, str], dict[str, str]]:
    """Column by meaning, and why: first by the columns' names, then by their values."""
    found: dict[str, str] = {}
    why: dict[str, str] = {}
    for column in columns:
        meaning = BY_WORD.get(folded(column)) or BY_WORD.get(folded(_without_unit(column)))
        if meaning and meaning not in found:
            found[meaning], why[meaning] = column, "by its name"
    _see_products(columns, samples, found)
    _see_clock(columns, samples, found)
    for column in columns:
        if column in found.values():
            continue
        texts = [ascii_digits(str(value)).strip() for value in samples[column] if isinstance(value, str)]
        for meaning, form in (("email", _EMAIL), ("phone", _IRANIAN)):
            if meaning not in found and texts and sum(bool(form.fullmatch(t)) for t in texts) > 0.8 * len(texts):
                found[meaning], why[meaning] = column, "by its values"
                break
    return found, why


def _see_products(columns: Sequence[str], samples: dict[str, list[object]], found: dict[str, str]) -> None:
    """What is called just a product has its name if that has blanks, or the number has a column of its own."""
    for column in columns:
        if folded(column) in PRODUCTS:
            is_name = "sku" in found or any(" " in str(value).strip() for value in samples[column])
            meaning = "product_name" if is_name and "product_name" not in found else "sku"
            found.setdefault(meaning, column)


def _see_clock(columns: Sequence[str], samples: dict[str, list[object]], found: dict[str, str]) -> None:
    """A column of times of day belongs to the one of days."""
    clocks = [
        column
        for column in columns
        if (BY_WORD.get(folded(column)) in ("clock", "time")) and _are_clocks(samples[column])
    ]
    days = [column for column in columns if BY_WORD.get(folded(column)) == "time" and column not in clocks]
    found.pop("clock", None)
    if clocks and days:
        found["time"], found["clock"] = days[0], clocks[0]


def _are_clocks(values: Sequence[object]) -> bool:
    return bool(values) and sum(map(_is_clock, values)) > 0.8 * len(values)


def _is_clock(value: object) -> bool:
    """A time of day: as text, as a sheet's own, or as its share of a day."""
    if isinstance(value, float):
        return 0 <= value < 1
    return isinstance(value, time) or _CLOCK.fullmatch(ascii_digits(str(value)).strip()) is not None


def _without_unit(name: str) -> str:
    """A column's name without what stands in brackets, and without a currency."""
    words = re.sub(r"[(\[].*?[)\]]", " ", name).replace("_", " ").split()
    return " ".join(word for word in words if word not in ("به", "in") and not _is_currency(word))


def _is_currency(word: str) -> bool:
    return word in USUAL or (currency_of(word) is not None and not (len(word) == 3 and word.isascii()))


def _kind(found: dict[str, str], path: Path) -> str:
    name = folded(path.stem)
    money = bool({"price", "amount", "total"} & found.keys())
    somebody = bool({"email", "phone", "user_id", "loyalty_card"} & found.keys())
    if "lead" in found or "lead_source" in found or "lead" in name or "سرنخ" in name:
        return "leads" if somebody else "events"
    if money and "document" in found and "time" not in found:
        raise InvalidInput(
            f"{path.name}: wanted a column of the orders' time, got none that is called so; write a mapping by hand"
            " (docs/import.md)",
            code="nothing_to_guess",
        )
    if money and "time" in found:
        return "orders"
    if "event" in found and "time" in found:
        return "events"
    if "account" in found and not ({"first_name", "last_name", "user_id", "birthday"} & found.keys()):
        return "accounts"
    if somebody:
        return "people"
    raise InvalidInput(
        f"{path.name}: wanted columns of orders, people, accounts, leads or events, got names and values that fit none"
        " (a name that comes twice counts as none); write a mapping by hand (docs/import.md)",
        code="nothing_to_guess",
    )


def _see_people(guess: Guess, samples: dict[str, list[object]]) -> None:
    every = [str(value) for values in samples.values() for value in values[:50]]
    persian = any(_PERSIAN.search(text) for text in (*every, *samples))
    phones = [ascii_digits(str(value)).strip() for value in samples.get(guess.columns.get("phone", ""), [])]
    local = [text for text in phones if not text.startswith(("+", "00"))]
    if local:
        if persian or sum(bool(_IRANIAN.fullmatch(text)) for text in local) > 0.8 * len(local):
            guess.region = "IR"
        else:
            guess.doubts.append("phone numbers have no country: set region")
    if persian:
        guess.zone = "Asia/Tehran"


def _see_money(guess: Guess, samples: dict[str, list[object]]) -> None:
    columns = guess.columns
    names = [columns[name] for name in ("price", "amount", "total", "discount", "tax", "quantity") if name in columns]
    texts = [str(value) for column in names for value in samples[column] if isinstance(value, str)]
    guess.decimal = decimal_mark(texts)
    if "currency" not in columns:
        guess.currency = _currency(texts, list(samples))
        if guess.currency is None:
            guess.doubts.append("no currency is named: set currency")
    doubtful = sum(_ambiguous(text) for text in texts)
    if guess.decimal is None and doubtful and places(guess.currency or "") > 0:
        guess.doubts.append(f'{doubtful} numbers such as 1,990 can be read in two ways: set decimal to "." or ","')
    if "document" not in columns:
        if "id" in columns:
            columns["document"] = columns["id"]
            guess.doubts.append("the column of ids is taken for the order's number")
            return
        people = [columns[name] for name in (*PEOPLE, "name") if name in columns][:1]
        guess.made_of = (*people, columns["time"])
        guess.doubts.append(
            "no column has the order's number: it is made of the customer and the time"
            if people
            else "no column has the order's number or its customer: all rows of one time become one order"
        )
    if "amount" not in columns and not {"price", "quantity"} <= columns.keys() and "total" not in columns:
        columns["amount"] = columns.pop("price")
        guess.doubts.append("there is no quantity: the price is taken for the line's amount")


def _ambiguous(text: str) -> bool:
    try:
        read_number(text)
    except ValueError as fault:
        return str(fault) == "number_ambiguous"
    return False


def _currency(texts: Sequence[str], names: Sequence[str]) -> str | None:
    """The only currency that amounts or names of columns show."""
    shown = set()
    for text in texts:
        try:
            shown.add(read_number(text).sign)
        except ValueError:
            continue
    for name in names:
        for word in re.split(r"[\s()\[\]_/-]+", name):
            known = currency_of(word) if _is_currency(word) else None
            if known is not None:
                shown.add("IRT" if known.units != 1 else known.code)
    codes = {sign for sign in shown if re.fullmatch("[A-Z]{3}", sign)}
    return codes.pop() if len(codes) == 1 else None


def _clock_form(values: Sequence[object]) -> str:
    """How times of day are written that stand in a column of their own."""
    texts = [ascii_digits(str(value)).strip() for value in values]
    return next((form for form in _CLOCKS[1:] if all(_fits(f" {text}", form) for text in texts)), " %H:%M")


def _see_time(guess: Guess, values: Sequence[object], clock: str | None = None) -> None:
    """`clock`: the pattern of the time of day, if that is in another column."""
    texts = [ascii_digits(str(value)).strip() for value in values if isinstance(value, str)]
    if any(JALALI in _repairs(value) for value in values):
        guess.calendar, guess.zone = "jalali", "Asia/Tehran"
    if not texts or sum(_reads(text) for text in texts) > 0.8 * len(texts):
        if clock and clock.endswith("%p"):
            guess.format = f"%Y-%m-%d{clock}"
        return
    fits = [form for form in _forms() if all(_fits(text, form) for text in texts)]
    if fits:
        guess.format = fits[0] + (clock or "")
        if len({form[:2] for form in fits}) > 1:
            guess.doubts.append(f"dates can be read as {fits[0]} or {fits[-1]}: check format in [time]")
    elif all(text.isdecimal() for text in texts):
        guess.format = "epoch_ms" if len(texts[0]) > 11 else "epoch_seconds"
    else:
        guess.doubts.append("times are in no known format: set format in [time]")


def _forms() -> Iterator[str]:
    for day in _DAY_FORMS:
        for clock in _CLOCKS:
            yield day + clock


def _fits(text: str, form: str) -> bool:
    try:
        datetime.strptime(text, form)
    except ValueError:
        return False
    return True


def _reads(value: object) -> bool:
    try:
        read_time(value, UTC)
    except ValueError:
        return False
    return True


def _repairs(value: object) -> tuple[str, ...]:
    try:
        return read_time(value, UTC).repairs
    except ValueError:
        return ()


def _check(text: str, path: Path) -> Mapping:
    return parse_mapping(tomllib.loads(text), f"the guess for {path.name}")
