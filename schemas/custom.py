"""The type of a track event that no table knows: `Foo Bar` is `custom.foo_bar`."""

import re
import unicodedata
from hashlib import blake2b
from typing import Final

PREFIX: Final = "custom."

MAX_WORDS: Final = 100
"""Characters after the prefix. Types are keys of tables and metrics; a longer name is a mistake."""

UNNAMED: Final = "unnamed"

_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def custom_type(name: str) -> str:
    """The type of a custom event, `custom.` and the name's words in snake case; pure, and never empty.

    Words are runs of letters, marks and digits of any script (`سفارش ثبت شد` is `custom.سفارش_ثبت_شد`); a
    change of case within Latin text starts a word too. Names that differ only in case, blanks,
    punctuation or Unicode form have one type. A longer name than `MAX_WORDS` is cut and ends in a digest
    of all of it, so that two long names stay two types.
    """
    spaced = _CAMEL.sub(" ", unicodedata.normalize("NFKC", name))
    lowered = unicodedata.normalize("NFKC", spaced.casefold())
    words = "".join(char if _is_word(char) else " " for char in lowered).split()
    return PREFIX + _capped("_".join(words) or UNNAMED)


def folded(name: str) -> str:
    """The letters and digits of a name without its separators: the same for all spellings."""
    return custom_type(name).removeprefix(PREFIX).replace("_", "")


def _is_word(char: str) -> bool:
    """Letters, marks (Arabic vowels, Indic signs), numbers. Not ZWNJ, which separates the pieces of a word."""
    return unicodedata.category(char)[0] in "LMN"


def _capped(words: str) -> str:
    if len(words) <= MAX_WORDS:
        return words
    digest = blake2b(words.encode(), digest_size=4).hexdigest()
    return f"{words[: MAX_WORDS - len(digest) - 1]}_{digest}"
