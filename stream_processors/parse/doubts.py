"""Faults that the decoder of envelopes accepts, since it does not read raw values, and that later readers refuse: text
that is not UTF-8, numbers out of range, nesting too deep to be written again. A scan of the bytes finds all of them,
and a few false ones; its findings are parsed to be certain. The scan takes as long as the decoding and does not need
the interpreter lock, so large batches are scanned in parallel, on another core.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import orjson
import re2

from schemas.untyped import Json

_MAX_DEPTH: Final = 200
"""Levels of nesting. Values within it can be written again in an answer; the writer accepts 254 levels."""

BETWEEN: Final = b"\0"
"""A separator of JSON texts: no decoder accepts it within one."""

_NUMBERS: Final = rb"[:,\[\s]-?[0-9][0-9.]*[eE]\+?[0-9]{3}|[0-9]{200}"
"""A part of every number out of range."""
_BRACKETS: Final = rb"(?:[\[{][^\[{\x00]*){%d}" % (_MAX_DEPTH + 1)
"""With fewer of these in a text, it is not nested too deeply."""

_OPTIONS: Final = re2.Options()
_OPTIONS.max_mem = 64 * 1024 * 1024  # of texts made to need many states; with less it would take ten times as long
_DOUBTFUL: Final = re2.compile(_NUMBERS + b"|" + _BRACKETS, _OPTIONS)

_PART: Final = 2_000
"""The size of texts that are scanned together: joined, they still fit into a core's cache."""
_MANY: Final = 1_000
"""The size of texts that is worth another thread."""

_beside: Final = ThreadPoolExecutor(1, thread_name_prefix="doubts")


def look(texts: Sequence[bytes]) -> Callable[[], list[bytes]]:
    """Start a scan of JSON texts. The returned function waits for the result: the texts that `check` must see. The
    result is reliable only for texts that the decoder accepts.
    """
    if len(texts) < _MANY:
        found = _doubtful(texts)
        return lambda: found
    parts = (texts[start : start + _PART] for start in range(0, len(texts), _PART))
    looking = [_beside.submit(_doubtful, part) for part in parts]
    return lambda: [text for part in looking for text in part.result()]


def check(text: bytes) -> None:
    """Raises `ValueError` if a doubt is justified."""
    level: list[Json] = [orjson.loads(text)]
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


def _children(value: Json) -> list[Json]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
