"""The words of a mapping: one value, one identifier, one time. `readers` makes functions of them."""

from typing import Literal

from msgspec import Struct

Trust = Literal["proven", "claimed", "hint"]
"""proven: the vendor verified that it is the person's. claimed: somebody typed it, or staff entered it. hint: a URL or
the page's script carried it."""

Constant = str | int | float | bool


class ValueField(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One value. Where a plain text stands instead of it, that is its `path`.

    path       where it is found; see `producers.vendors.paths`
    value      a constant, instead of a path
    template   a text with paths in braces; absent if one of them is absent, unless that one ends in `?`. Booleans are
               `true` and `false`
    table      the vendor's word -> ours; a word that is not in it stays as it is, or becomes `otherwise`
    minor      the amount is in minor units (cents) of the currency at this path, or of this currency: `EUR`
    each       the path is a list: each of its items becomes an object with these `fields`
    read       text, number, bool, lower, upper, address (of `Ana <ana@example.com>`, or of a list of one), first (of
               a list), count (its length), names (a list as one text)
    matches    a regular expression (RE2) for the whole text; anything else counts as absent
    strip      removed from its beginning; `prefix`: put before it
    """

    path: str = ""
    value: Constant | None = None
    template: str = ""
    table: dict[str, Constant] = {}
    otherwise: Constant | None = None
    minor: str = ""
    each: "dict[str, str | ValueField]" = {}
    read: Literal["", "text", "number", "bool", "lower", "upper", "address", "first", "count", "names"] = ""
    matches: str = ""
    strip: str = ""
    prefix: str = ""


Field = str | ValueField


class IdentifierField(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """An identifier of the person. `type`: such as email, phone, user_id or the vendor's own, `stripe_customer`."""

    type: str
    value: Field
    trust: Trust = "claimed"


class TimeField(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """When it happened. `unit`: auto reads ISO 8601, HTTP's dates, and numbers since 1970 by their size. `zone`: of
    texts without an offset: the source's setting, or UTC where the vendor says so."""

    path: str
    unit: Literal["auto", "s", "ms", "us"] = "auto"
    zone: Literal["source", "UTC"] = "source"
