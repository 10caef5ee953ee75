"""The formats in our schemas, each as one function for both validators.

The two libraries understand `format` differently (one takes any text with an `@` for an email, the other
follows RFC 5321), so neither's own idea is used. Both checks are lenient: they catch a value in the wrong
field, not an unusual address. The empty text passes: forms send it for "not filled in".
"""

import re
from collections.abc import Callable
from datetime import date
from typing import Final

_EMAIL: Final = re.compile(r"\s*[^@\s]+@[^@\s]+\s*")
_ISO_8601: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.,][0-9]+)?)?( ?(Z|[+-][0-9]{2}:?[0-9]{2}))?)?",
    re.IGNORECASE,
)


def is_email(value: str) -> bool:
    """Something, one `@`, something, no blanks within."""
    return value == "" or _EMAIL.fullmatch(value) is not None


def is_iso_8601(value: str) -> bool:
    """A day of the calendar, `2024-05-01`, alone or with a time and perhaps a zone."""
    if value == "":
        return True
    found = _ISO_8601.fullmatch(value)
    return found is not None and _is_day(found[1])


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


FORMATS: Final[dict[str, Callable[[str], bool]]] = {"email": is_email, "iso-8601": is_iso_8601}

WANTED: Final = {"email": "an email address", "iso-8601": "a date such as 2024-05-01 or 2024-05-01T09:30:00Z"}
"""The name of each format in error messages."""
