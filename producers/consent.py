"""What an event itself states about consent, whichever way it came in. Pure.

The statement stands in the envelope beside what the sender states in so many words, so that projections read one thing.
"""

from collections.abc import Mapping
from typing import Final

from producers.incoming import Consent, Object
from schemas.digits import ascii_digits, trim

STOP_WORDS: Final = frozenset(
    ("STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT", "OPT-OUT", "لغو", "لغو11")
)
"""Text messages that networks take for an opt-out if they say nothing else; the last two are usual in Iran."""
START_WORDS: Final = frozenset(("START", "UNSTOP", "SUBSCRIBE"))

_PURPOSES: Final[Mapping[str, tuple[str, bool]]] = {
    "email.subscribed": ("email", True),
    "email.unsubscribed": ("email", False),
    "email.marked_as_spam": ("email", False),  # whoever does that wants no more of them
    # The contract's word is `consent.…` with purpose `sms`; these are what the same is often called.
    "custom.sms_subscribed": ("sms", True),
    "custom.sms_opted_in": ("sms", True),
    "custom.sms_unsubscribed": ("sms", False),
    "custom.sms_opted_out": ("sms", False),
}
_GIVING: Final = {"consent.given": True, "consent.withdrawn": False}
_ONE_LIST: Final = ("list_id", "listId")

STATING: Final = frozenset((*_PURPOSES, *_GIVING, "sms.received"))
"""The types whose events may state something."""


def with_stated(said: Consent | None, type_: str, properties: Object) -> Consent | None:
    """What the sender states, and what an event of one of the types in `STATING` states by itself: of its own purpose
    the event has the last word, since senders repeat what they know of consent with every event."""
    stated = _stated(type_, properties)
    return {**(said or {}), **stated} if stated else said


def _stated(type_: str, properties: Object) -> dict[str, bool]:
    """A purpose that is named; of messages, a subscription that is to no single list."""
    if type_ in _GIVING:
        purpose = properties.get("purpose")
        name = trim(purpose) if isinstance(purpose, str) else ""
        return {name: _GIVING[type_]} if name else {}
    if type_ == "sms.received":
        text = properties.get("text")
        return said_in_text(text) if isinstance(text, str) else {}
    if any(properties.get(name) not in (None, "") for name in _ONE_LIST):
        return {}
    purpose, allowed = _PURPOSES[type_]
    return {purpose: allowed}


def said_in_text(text: str) -> dict[str, bool]:
    """What a text message says that consists of one of the words."""
    word = ascii_digits(trim(text)).upper()
    return {"sms": False} if word in STOP_WORDS else {"sms": True} if word in START_WORDS else {}
