"""JSON bodies: orjson, with money as exact JSON numbers in their shortest form."""

from decimal import Decimal
from typing import Any

import orjson
from fastapi import Response

from profile_api.call import CURRENT, masks
from profile_api.masking import shown


def encode(value: Any) -> bytes:
    """`value` as JSON; a Decimal becomes a number with no digit lost and no trailing zero: 361.500000 is
    361.5.
    """
    return orjson.dumps(value, default=_encode_decimal, option=orjson.OPT_NON_STR_KEYS)


class JsonReply(Response):
    """An answer of a route. Whoever may not see personal values gets it masked (`masking`)."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        call, hiding = CURRENT.get(), masks()
        return encode(content if call is None or hiding is None else shown(call.answers, content, hiding))


def page(items: list[Any], next_cursor: str | None = None) -> dict[str, Any]:
    """The shape of every list."""
    return {"items": items, "next_cursor": next_cursor}


def _encode_decimal(value: Any) -> orjson.Fragment:
    if isinstance(value, Decimal):
        return orjson.Fragment(shortest(value).encode())
    raise TypeError(f"{type(value).__name__} has no JSON form")


def shortest(number: Decimal) -> str:
    """All of its digits and no trailing zero. (`Decimal.normalize` would round to 28 digits.)"""
    text = f"{number:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
