"""What the decoder of envelopes lets pass, since it does not look into raw values, and a reader after it does not: text
that is not UTF-8, numbers out of range, nesting too deep to be written again.

A look at the bytes finds all of it, and a little more; what it finds is parsed for certainty. The look takes as long as
the decoding and needs no interpreter, so large batches are looked at beside it, on another core.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import orjson
import re2

_MAX_DEPTH: Final = 200
"""Levels of nesting: what is read here can be written again within an answer, where the writer takes 254."""

BETWEEN: Final = b"\0"
"""Between two texts of JSON: no decoder takes it within one."""

_NUMBERS: Final = rb"[:,\[\s]-?[0-9][0-9.]*[eE]\+?[0-9]{3}|[0-9]{200}"
"""What a number out of range has in it."""
_BRACKETS: Final = rb"(?:[\[{][^\[{\x00]*){%d}" % (_MAX_DEPTH + 1)
"""Without so many in one text there is no such nesting."""

_OPTIONS: Final = re2.Options()
_OPTIONS.max_mem = 64 * 1024 * 1024  # of texts made to need many states; with less it would take ten times as long
_DOUBTFUL: Final = re2.compile(_NUMBERS + b"|" + _BRACKETS, _OPTIONS)

_PART: Final = 2_000
"""Texts that are looked at together: joined, they still fit into a core's cache."""
_MANY: Final = 1_000
"""Texts that are worth a turn in a thread."""

_beside: Final = ThreadPoolExecutor(1, thread_name_prefix="doubts")


def look(texts: Sequence[bytes]) -> Callable[[], list[bytes]]:
    """Begin to look at some texts of JSON. What is answered waits for the outcome: those that `check` must see.

    Only texts that the decoder takes are told apart surely.
    """
    if len(texts) < _MANY:
        found = _doubtful(texts)
        return lambda: found
    parts = (texts[start : start + _PART] for start in range(0, len(texts), _PART))
    looking = [_beside.submit(_doubtful, part) for part in parts]
    return lambda: [text for part in looking for text in part.result()]


def check(text: bytes) -> None:
    """Raises `ValueError` where there is something to a doubt."""
    level = [orjson.loads(text)]
    for _ in range(_MAX_DEPTH):
        level = [child for parent in level for child in _children(parent)]
    if level:
        raise ValueError("too many levels of nesting")


def _doubtful(texts: Sequence[bytes]) -> list[bytes]:
    return [text for text in texts if _is_doubtful(text)] if _is_doubtful(BETWEEN.join(texts)) else []


def _is_doubtful(text: bytes) -> bool:
    if not text.isascii():
        try:
            text.decode()
        except UnicodeDecodeError:
            return True
    return _DOUBTFUL.search(text) is not None


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
