"""Long lists of numbers as parameters.

A server takes a parameter of at most 128 KiB (`http_max_field_value_size`, which only its default profile can raise),
so some 3,000 nodes. A longer list is written into the query as the engine itself does it: a text that is cast to the
parameter's type. Lists of numbers only, since these need no quoting.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

LONGEST: Final = 64 * 1024
"""The largest list, in characters, that is sent as a parameter."""


def write_long_lists(sql: str, parameters: Mapping[str, object]) -> tuple[str, dict[str, object]]:
    """The same query with its long lists of numbers in its text. Those names are no longer parameters."""
    left = dict(parameters)
    for name, value in parameters.items():
        text = _numbers(value)
        if text is not None and len(text) > LONGEST:
            placeholder = re.compile(r"\{" + re.escape(name) + r":([^{}]+)\}")
            sql = placeholder.sub(_cast(text), sql)
            del left[name]
    return sql, left


def _cast(text: str) -> Callable[[re.Match[str]], str]:
    """A function, since `re` would look through a long text for escapes, character by character."""
    return lambda found: f"CAST('{text}', '{found[1]}')"


def _numbers(value: object) -> str | None:
    if not isinstance(value, list | tuple) or not all(type(one) is int for one in value):
        return None
    return f"[{','.join(map(str, value))}]"
