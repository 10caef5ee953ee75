"""A mapping for a file that has none: guessed from its columns' names, in English and Persian, and from its values.

A guess is a draft for a person: every line says why it is there, and what could not be guessed is said first.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final

from producers.files.dates import JALALI, read_time
from producers.files.mapping import Mapping, RowMapping, parse_mapping
from producers.files.numbers import decimal_mark, read_number
from producers.files.reader import columns_of, read_rows
from producers.files.recognise import recognised
from producers.money import USUAL, currency_of, places
from schemas.digits import ascii_digits
from schemas.errors import InvalidInput

_ROWS: Final = 500

_WORDS: Final[dict[str, tuple[str, ...]]] = {
    # meaning: names of columns, folded; a name in the list is meant as a whole
    "email": ("email", "email address", "e mail", "mail", "ایمیل", "پست الکترونیک", "رایانامه", "نشانی ایمیل"),
    "phone": (
        "phone", "mobile", "phone number", "mobile number", "mobile phone", "cell", "cell phone", "telephone", "tel",
        "msisdn", "موبایل", "شماره موبایل", "تلفن همراه", "شماره تلفن همراه", "همراه", "شماره همراه", "تلفن",
        "شماره تلفن", "شماره تماس", "تماس",
    ),
    "user_id": (
        "user id", "userid", "customer id", "customerid", "customer no", "customer number", "contact id", "client id",
        "cust id", "کد مشتری", "شناسه مشتری", "شماره مشتری", "کد مخاطب", "شناسه کاربر", "شناسه کاربری", "کد اشتراک",
    ),
    "loyalty_card": (
        "card", "card number", "card no", "loyalty card", "loyalty", "club card", "member no", "membership number",
        "کارت", "شماره کارت باشگاه", "کارت باشگاه", "شماره عضویت", "کد باشگاه", "باشگاه مشتریان",
    ),
    "first_name": ("first name", "firstname", "given name", "forename", "نام", "نام کوچک"),
    "last_name": ("last name", "lastname", "surname", "family name", "family", "نام خانوادگی", "فامیلی", "فامیل"),
    "name": (
        "name", "full name", "fullname", "customer name", "contact name", "نام و نام خانوادگی", "نام مشتری",
        "نام کامل", "مشتری", "customer",
    ),
    "city": ("city", "town", "شهر"),
    "country": ("country", "کشور"),
    "state": ("state", "province", "استان"),
    "address": ("address", "street", "آدرس", "نشانی"),
    "postal_code": ("zip", "zip code", "postal code", "postcode", "کد پستی", "کدپستی"),
    "birthday": ("birthday", "birth date", "date of birth", "birthdate", "dob", "تاریخ تولد", "تولد"),
    "gender": ("gender", "sex", "جنسیت"),
    "account": (
        "company", "company name", "organisation", "organization", "account", "account name", "account id", "firm",
        "شرکت", "نام شرکت", "سازمان", "نام سازمان", "حساب",
    ),
    "industry": ("industry", "sector", "صنعت", "حوزه فعالیت"),
    "employees": ("employees", "number of employees", "headcount", "تعداد کارکنان", "تعداد پرسنل"),
    "website": ("website", "web site", "url", "وب سایت", "وبسایت"),
    "document": (
        "order", "order id", "order no", "order number", "orderid", "invoice", "invoice no", "invoiceno",
        "invoice number", "receipt", "receipt no", "receipt number", "basket", "basket id", "transaction id",
        "شماره سفارش", "کد سفارش", "سفارش", "شماره فاکتور", "فاکتور", "شماره رسید", "شناسه سفارش",
    ),
    "time": (
        "date", "time", "datetime", "order date", "invoice date", "invoicedate", "created at", "created", "timestamp",
        "printed at", "purchase date", "transaction date", "تاریخ", "زمان", "تاریخ سفارش", "تاریخ فاکتور", "تاریخ خرید",
        "تاریخ ثبت", "تاریخ و ساعت",
    ),
    "updated": ("updated at", "modified", "last modified", "modified at", "changed at", "تاریخ ویرایش", "آخرین ویرایش"),
    "sku": (
        "sku", "item", "article", "product", "product id", "product code", "stockcode", "stock code", "item id", "plu",
        "barcode", "کد کالا", "کد محصول", "شناسه محصول", "بارکد", "کالا", "محصول",
    ),
    "product_name": (
        "product name", "item name", "description", "article name", "label", "title", "نام کالا", "نام محصول",
        "شرح کالا", "شرح",
    ),
    "quantity": ("quantity", "qty", "pieces", "count", "units", "number", "n", "تعداد", "مقدار"),
    "price": (
        "price", "unit price", "unitprice", "each", "price each", "item price", "قیمت", "قیمت واحد", "فی", "مبلغ واحد",
    ),
    "amount": (
        "amount", "line total", "line amount", "sales", "sales value", "value", "مبلغ", "مبلغ کل", "جمع", "جمع مبلغ",
        "قیمت کل", "مبلغ ردیف",
    ),
    "discount": ("discount", "discount amount", "تخفیف", "مبلغ تخفیف"),
    "tax": ("tax", "vat", "taxes", "مالیات", "ارزش افزوده"),
    "total": ("total", "order total", "grand total", "total price", "مبلغ نهایی", "قابل پرداخت", "مبلغ قابل پرداخت"),
    "currency": ("currency", "currency code", "ارز", "واحد پول"),
    "category": ("category", "department", "دسته", "دسته بندی", "گروه کالا", "گروه"),
    "brand": ("brand", "برند", "مارک"),
    "store": ("store", "branch", "shop", "till", "فروشگاه", "شعبه", "صندوق"),
    "coupon": ("coupon", "coupon code", "discount code", "voucher", "کد تخفیف", "کوپن"),
    "lead_source": ("lead source", "source", "منبع سرنخ", "منبع", "نحوه آشنایی"),
    "lead": ("lead", "lead id", "lead no", "کد سرنخ", "شماره سرنخ", "شناسه سرنخ", "سرنخ"),
    "owner": ("owner", "lead owner", "assigned to", "کارشناس", "مسئول"),
    "status": ("status", "lead status", "stage", "وضعیت", "مرحله"),
    "event": ("event", "event type", "event name", "type", "action", "رویداد", "نوع رویداد"),
    "id": ("id", "row id", "record id", "شناسه", "کد", "ردیف"),
}  # fmt: skip
_BY_WORD: Final = {word: meaning for meaning, words in _WORDS.items() for word in words}

_EMAIL: Final = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")
_PHONE: Final = re.compile(r"(?:\+|00)?[0-9][0-9 ()./-]{7,18}[0-9]", re.ASCII)
_IRANIAN: Final = re.compile(r"(?:\+98|0098|98|0)?9[0-9]{9}", re.ASCII)
_PERSIAN: Final = re.compile(r"[پچژگکی]")
_ARABIC_LETTER: Final = re.compile(r"[\u0600-\u06ff]")
_DAY_FORMS: Final = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d.%m.%y", "%d/%m/%y", "%m/%d/%y")
_CLOCKS: Final = ("", " %H:%M", " %H:%M:%S", " %I:%M %p")

_PEOPLE: Final = ("email", "phone", "user_id", "loyalty_card")
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


def guess_mapping(path: Path, channel: str | None = None) -> str:
    """The mapping as TOML with comments. Raises `InvalidInput` if the file cannot be read, or nothing fits."""
    opened = _opened(path)
    columns = columns_of(path, opened.format)
    rows = [row.values for row in islice(read_rows(path, opened.format, columns), _ROWS) if not row.fault]
    samples = {column: _texts(rows, n) for n, column in enumerate(columns)}
    guess = _guess(columns, samples, path)
    text = "\n".join(_toml(guess, path, opened, channel)) + "\n"
    _check(text, path)
    return text


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
    _see_people(guess, samples)
    if kind == "orders":
        _see_money(guess, samples)
    when = found.get("time") or found.get("updated")
    if when:
        _see_time(guess, samples[when])
    return guess


def _meanings(columns: Sequence[str], samples: dict[str, list[object]]) -> tuple[dict[str, str], dict[str, str]]:
    """Column by meaning, and why: first by the columns' names, then by their values."""
    found: dict[str, str] = {}
    why: dict[str, str] = {}
    for column in columns:
        meaning = _BY_WORD.get(folded(column)) or _BY_WORD.get(folded(_without_unit(column)))
        if meaning and meaning not in found:
            found[meaning], why[meaning] = column, "by its name"
    for column in columns:
        if column in found.values():
            continue
        texts = [ascii_digits(str(value)).strip() for value in samples[column] if isinstance(value, str)]
        for meaning, form in (("email", _EMAIL), ("phone", _IRANIAN)):
            if meaning not in found and texts and sum(bool(form.fullmatch(t)) for t in texts) > 0.8 * len(texts):
                found[meaning], why[meaning] = column, "by its values"
                break
    return found, why


def _without_unit(name: str) -> str:
    """A column's name without what stands in brackets, and without a currency."""
    words = re.sub(r"[(\[].*?[)\]]", " ", name).replace("_", " ").split()
    return " ".join(word for word in words if word not in ("به", "in") and not _is_currency(word))


def _is_currency(word: str) -> bool:
    return word in USUAL or (currency_of(word) is not None and not (len(word) == 3 and word.isascii()))


def folded(name: str) -> str:
    """A column's name without case, marks and the variants of Persian letters."""
    text = unicodedata.normalize("NFKC", name).translate(str.maketrans("يىكةأإآۀ", "ییکهاااه"))
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    text = re.sub(r"[\u064b-\u0652\u0654\u0640]", "", text).replace("\u200c", " ")
    return " ".join(re.split(r"[^\w]+|_", text.casefold())).strip()


def _kind(found: dict[str, str], path: Path) -> str:
    name = folded(path.stem)
    money = bool({"price", "amount", "total"} & found.keys())
    somebody = bool({"email", "phone", "user_id", "loyalty_card"} & found.keys())
    if "lead" in found or "lead_source" in found or "lead" in name or "سرنخ" in name:
        return "leads" if somebody else "events"
    if money and ("document" in found or "time" in found):
        return "orders"
    if "event" in found and "time" in found:
        return "events"
    if "account" in found and not ({"first_name", "last_name", "user_id", "birthday"} & found.keys()):
        return "accounts"
    if somebody:
        return "people"
    raise InvalidInput(
        f"{path.name}: wanted columns of orders, people, accounts, leads or events, got names and values that fit none;"
        " write a mapping by hand (docs/import.md)",
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
        people = [columns[name] for name in (*_PEOPLE, "name") if name in columns][:1]
        guess.made_of = (*people, columns["time"])
        guess.doubts.append("no column has the order's number: it is made of the customer and the time")
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


def _see_time(guess: Guess, values: Sequence[object]) -> None:
    texts = [ascii_digits(str(value)).strip() for value in values if isinstance(value, str)]
    if any(JALALI in _repairs(value) for value in values):
        guess.calendar, guess.zone = "jalali", "Asia/Tehran"
    if not texts or sum(_reads(text) for text in texts) > 0.8 * len(texts):
        return
    fits = [form for form in _forms() if all(_fits(text, form) for text in texts)]
    if fits:
        guess.format = fits[0]
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


# --- as TOML


def _toml(guess: Guess, path: Path, opened: RowMapping, channel: str | None) -> Iterator[str]:
    yield f"# A guess from the first rows of {_quoted(path.name)}. Check it, then try it with --dry-run."
    for doubt in guess.doubts:
        yield f"# CHECK: {doubt}"
    yield f'kind = "{guess.kind}"'
    yield f"name = {_quoted(_slug(path))}            # part of every event's id: keep it the same"
    yield f'channel = "{channel or ("pos" if guess.kind == "orders" else "server")}"'
    if guess.region:
        yield f'region = "{guess.region}"             # of phone numbers without a country'
    if guess.currency:
        yield f'currency = "{guess.currency}"'
    yield from _rows(guess)
    yield from _format(guess, opened)
    when = guess.columns.get("time") or guess.columns.get("updated")
    if when:
        yield "\n[time]"
        yield f"column = {_quoted(when)}" + _because(guess, "time")
        if guess.format:
            yield f'format = "{guess.format}"'
        if guess.calendar:
            yield f'calendar = "{guess.calendar}"'
        if guess.zone:
            yield f'zone = "{guess.zone}"'
    for meaning in _PEOPLE:
        if meaning in guess.columns and guess.kind != "accounts":
            yield "\n[[identifiers]]"
            yield f"column = {_quoted(guess.columns[meaning])}" + _because(guess, meaning)
            yield f'type = "{meaning}"'
    yield from _sections(guess)


def _rows(guess: Guess) -> Iterator[str]:
    columns = guess.columns
    if guess.kind in ("people", "accounts") and "account" in columns:
        yield f"account = {_quoted(columns['account'])}" + _because(guess, "account")
    if guess.kind == "leads" and (own := columns.get("lead") or columns.get("id")):
        yield f"id = {_quoted(own)}"
    if guess.kind == "events":
        if "id" in columns:
            yield f"id = {_quoted(columns['id'])}" + _because(guess, "id")
        if "event" in columns:
            yield f"type_column = {_quoted(columns['event'])}" + _because(guess, "event")
        else:
            yield 'type = "imported"            # CHECK: no column has the event\'s type'


def _format(guess: Guess, opened: RowMapping) -> Iterator[str]:
    form = opened.format
    lines = []
    if form.delimiter not in (None, ","):
        lines.append(f"delimiter = {_quoted(form.delimiter or '')}")
    if form.encoding not in (None, "utf-8", "utf-8-sig"):
        lines.append(f"encoding = {_quoted(form.encoding or '')}")
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
            yield f"column = {_quoted(columns['document'])}" + _because(guess, "document")
        else:
            yield f"columns = [{', '.join(map(_quoted, guess.made_of))}]"
        yield "\n[line]"
        for meaning, name in (("sku", "sku"), ("name", "product_name"), ("quantity", "quantity"), ("price", "price"),
                              ("amount", "amount"), ("discount", "discount"), ("tax", "tax")):  # fmt: skip
            if name in columns:
                yield f"{meaning} = {_quoted(columns[name])}" + _because(guess, name)
        yield from _table("line.properties", guess, ("category", "brand"))
        if {"total", "currency"} & columns.keys():
            yield "\n[order]"
            for name in ("total", "currency"):
                if name in columns:
                    yield f"{name} = {_quoted(columns[name])}" + _because(guess, name)
        yield from _table("order.properties", guess, ("store", "coupon"))
        traits = tuple(one for one in _TRAITS if one not in ("email", "phone"))
        if any(one in columns for one in _PEOPLE):
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
        lines += [f"{_quoted(column)} = {_quoted(column)}" for column in guess.others if column not in taken]
    if lines:
        yield f"\n[{title}]"
        yield from lines


def _cell(column: str, meaning: str) -> str:
    read = {"birthday": "date", "phone": "phone", "employees": "number"}.get(meaning)
    return f'{{column = {_quoted(column)}, read = "{read}"}}' if read else _quoted(column)


def _because(guess: Guess, meaning: str) -> str:
    return f"            # {guess.why[meaning]}" if guess.why.get(meaning) == "by its values" else ""


def _quoted(text: str) -> str:
    """As a TOML string."""
    return '"' + "".join(c if c.isprintable() and c not in '"\\' else f"\\u{ord(c):04x}" for c in text) + '"'


def _slug(path: Path) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", folded(path.stem)).strip("-")
    slug = re.sub(r"-?\d+$", "", slug) or slug
    return slug[:60].strip("-") or "file"


def _check(text: str, path: Path) -> Mapping:
    import tomllib

    return parse_mapping(tomllib.loads(text), f"the guess for {path.name}")
