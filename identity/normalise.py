"""One spelling per identifier, so that different spellings of one person give the same node.

The normalised value is stored in the envelope with `NORMALISER_VERSION`, and a replay uses the stored value. A change
of behaviour here needs a new version and an explicit migration, or past events would get other nodes.
"""

import re
import unicodedata
from collections.abc import Callable
from typing import Final

import phonenumbers

from schemas.digits import ascii_digits, trim
from schemas.errors import InvalidIdentifier

NORMALISER_VERSION: Final = 1

NO_REGION: Final = "phone_without_region"
"""Code of the error for a phone number that is valid only with a country."""
_LOCAL_DIGITS: Final = 5

MAX_LENGTH: Final = 500
MAX_EMAIL: Final = 254

_TYPE: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
_EMAIL: Final = re.compile(r"[^\s@]{1,64}@[^\s@.]+(?:\.[^\s@.]+)+")
_LOCAL_FORBIDDEN: Final = frozenset('"(),:;<>[\\]')


def normalise(type: str, value: object, *, region: str | None = None) -> str:
    """The one spelling of `value` as an identifier of `type`; normalising twice changes nothing.

    `value` is a string or an integer. `region` (ISO 3166, "IR") is the country of phone numbers that are
    written without one. Known types have rules of their own, any other lower-case slug is a custom type:
    trimmed, NFC. Raises InvalidIdentifier, whose message names the type and never the value.
    """
    check_type(type)
    text = _text(type, value)
    if type == "phone":
        return _phone(text, region)
    return _BY_TYPE.get(type, _plain)(type, text)


def is_region(region: str) -> bool:
    """Whether it is a country (ISO 3166, "IR") with known phone numbers."""
    return region in phonenumbers.SUPPORTED_REGIONS


def check_type(type: str) -> None:
    """Raises InvalidIdentifier unless `type` is a lower-case slug of 1 to 63 characters."""
    if not isinstance(type, str) or not _TYPE.fullmatch(type):
        raise InvalidIdentifier(
            "identifier type: wanted a lower-case slug (a-z, 0-9, _) of 1 to 63 characters that starts with a letter,"
            " got another text; rename the type"
        )


def _text(type: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _invalid(type, "a string or an integer", f"a {value.__class__.__name__}")
    if isinstance(value, int):
        if value.bit_length() > 1024:  # also keeps str() away from its limit of 4,300 digits
            raise _invalid(type, f"at most {MAX_LENGTH} characters", "a longer number")
        return str(value)
    if len(value) > 4 * MAX_LENGTH:  # before anything is computed from it
        raise _invalid(type, f"at most {MAX_LENGTH} characters", f"{len(value)}")
    return _bounded(type, trim(unicodedata.normalize("NFC", value)))


def _bounded(type: str, text: str) -> str:
    if not text:
        raise _invalid(type, "a value", "an empty one")
    if len(text) > MAX_LENGTH:
        raise _invalid(type, f"at most {MAX_LENGTH} characters", f"{len(text)}")
    if not text.isprintable() and any(unicodedata.category(c) in ("Cc", "Cs") for c in text):
        raise _invalid(type, "no control characters", "some")
    return text


def _plain(_: str, text: str) -> str:
    return text


def _key(_: str, text: str) -> str:
    return ascii_digits(text)


def _loyalty_card(type: str, text: str) -> str:
    kept = (c for c in ascii_digits(text) if not c.isspace() and unicodedata.category(c) != "Pd")
    return _bounded(type, trim("".join(kept)))


def _email(type: str, text: str) -> str:
    # Lower case only: full case folding would make one mailbox of two (ß and ss). Nothing is stripped from
    # the local part, since "a.b+shop" and "ab" are one mailbox with some providers only.
    if not text.isascii():
        text = trim(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).lower()))
    text = text.lower()
    if len(text) > MAX_EMAIL or not _EMAIL.fullmatch(text):
        raise _invalid(type, "local@domain.tld", "another shape")
    local, _, domain = text.partition("@")
    if _LOCAL_FORBIDDEN.intersection(local) or not all(_is_label(part) for part in domain.split(".")):
        raise _invalid(type, "local@domain.tld", "characters that no address has")
    return text


def _is_label(label: str) -> bool:
    return label[0] != "-" and label[-1] != "-" and all(c.isalnum() or c in "-\u00b7" or _is_mark(c) for c in label)


def _is_mark(char: str) -> bool:
    return unicodedata.category(char)[0] == "M"


def _phone(text: str, region: str | None) -> str:
    digits = ascii_digits(text)
    if digits.startswith("00"):  # the usual international prefix; no national number starts so
        digits = "+" + digits[2:]
    try:
        number = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        if region is None and sum(map(str.isdecimal, digits)) >= _LOCAL_DIGITS:
            raise InvalidIdentifier(
                "identifier phone: wanted + or 00 and the country, got a number without; send it with its country, or "
                "set `region` of the source or SIMORGH_PHONE_REGION",
                code=NO_REGION,
            ) from None
        raise _invalid("phone", "an international phone number", "another shape") from None
    if number.extension:
        # Colleagues behind one switchboard would become one person.
        raise _invalid("phone", "a number without an extension", "one with an extension")
    # "Possible" (length) and not "valid" (ranges in use): the latter changes with every release of the
    # library.
    if not phonenumbers.is_possible_number(number):
        raise _invalid("phone", "a possible number of its country", "one too short or too long")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _invalid(type: str, wanted: str, came: str) -> InvalidIdentifier:
    return InvalidIdentifier(f"identifier {type}: wanted {wanted}, got {came}; correct the value or leave it out")


_BY_TYPE: Final[dict[str, Callable[[str, str], str]]] = {
    "user_id": _key,
    "anonymous_id": _key,
    "device_id": _key,
    "loyalty_card": _loyalty_card,
    "email": _email,
}
