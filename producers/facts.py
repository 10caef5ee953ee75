"""Business keys: the key of the fact that an event reports, such as the number of an order."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

from schemas.digits import ascii_digits, trim

LONGEST: Final = 500

_UNDERSCORE: Final = re.compile(r"_([a-z])")


def in_camel_case(member: str) -> str:
    """`order_id` as Segment's first version spelled it: `orderId`."""
    return _UNDERSCORE.sub(lambda found: found[1].upper(), member)


def business_value(properties: Mapping[str, object], member: str) -> str | None:
    """The value of a business key as one text: `1001`, `"1001"`, `۱۰۰۱` and `" 1001 "` are one. None for no value.

    `order_id` may be spelled `orderId`, as in Segment's first version.
    """
    value = properties.get(member)
    if isinstance(value, str) and value.isascii() and value.isalnum():
        return value if len(value) <= LONGEST else None  # nearly every one
    if value is None:
        value = properties.get(in_camel_case(member))
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return None
    text = ascii_digits(trim(unicodedata.normalize("NFC", value)))
    return text if 0 < len(text) <= LONGEST else None
