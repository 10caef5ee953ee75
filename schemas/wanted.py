"""pydantic's errors in the product's words: where, what was wanted, and never what came.

The one place that reads pydantic's error types. What it does not know is said as plainly as can be, since a message of
pydantic's own may quote a value.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from schemas.reasons import ARTICLES, is_json, json_type, pointer


class Wrong(NamedTuple):
    """A part that does not fit. `path`: its keys, the outermost first; `message`: "wanted …, got …"."""

    path: tuple[str | int, ...]
    message: str

    @property
    def pointer(self) -> str:
        """As a JSON pointer (RFC 6901): empty for the whole."""
        return pointer(self.path)


def wrong_parts(error: ValidationError) -> list[Wrong]:
    return [wrong(fault) for fault in error.errors(include_url=False)]


def wrong(fault: Mapping[str, Any]) -> Wrong:
    """One of pydantic's, or FastAPI's, error dicts."""
    kind, context = str(fault["type"]), fault.get("ctx", {})
    path = tuple(fault["loc"])
    if kind == "value_error":  # a validator of ours says it whole, and repeats no value
        return Wrong(path, str(context.get("error", "")))
    wanted = _WANTED.get(kind)
    said = wanted(context) if wanted else "another value"
    return Wrong(path, f"wanted {said}, got {_came(kind, fault.get('input'))}")


def _came(kind: str, value: object) -> str:
    if kind == "missing":
        return "none"
    if kind == "extra_forbidden":
        return "one"
    if kind.endswith(("_type", "_required")):
        return ARTICLES[json_type(value)] if is_json(value) else "something else"
    return "another"


Said = Callable[[Mapping[str, Any]], str]


def _just(words: str) -> Said:
    return lambda context: words


def _length(what: str) -> Said:
    def say(context: Mapping[str, Any]) -> str:
        least, most = context.get("min_length"), context.get("max_length")
        bound = most if least is None else least
        return f"at {'most' if least is None else 'least'} {bound} {what if bound == 1 else what + 's'}"

    return say


_WANTED: Final[Mapping[str, Said]] = {
    "missing": _just("a value here"),
    "extra_forbidden": _just("no member of this name"),
    "json_invalid": _just("JSON"),
    "json_type": _just("JSON"),
    "dict_type": _just("an object"),
    "model_type": _just("an object"),
    "model_attributes_type": _just("an object"),
    "mapping_type": _just("an object"),
    "list_type": _just("a list"),
    "tuple_type": _just("a list"),
    "set_type": _just("a list"),
    "frozen_set_type": _just("a list"),
    "string_type": _just("a text"),
    "string_unicode": _just("text in UTF-8"),
    "string_too_short": _length("character"),
    "string_too_long": _length("character"),
    "string_pattern_mismatch": lambda context: f"a text of the form {context.get('pattern', '')}",
    "too_short": _length("item"),
    "too_long": _length("item"),
    "bool_type": _just("true or false"),
    "bool_parsing": _just("true or false"),
    "int_type": _just("a whole number"),
    "int_parsing": _just("a whole number"),
    "int_parsing_size": _just("a whole number of 64 bits"),
    "int_from_float": _just("a whole number"),
    "float_type": _just("a number"),
    "float_parsing": _just("a number"),
    "finite_number": _just("a finite number"),
    "decimal_type": _just("a decimal number"),
    "decimal_parsing": _just("a decimal number"),
    "greater_than_equal": lambda context: f"a number of at least {context.get('ge')}",
    "greater_than": lambda context: f"a number above {context.get('gt')}",
    "less_than_equal": lambda context: f"a number of at most {context.get('le')}",
    "less_than": lambda context: f"a number below {context.get('lt')}",
    "literal_error": lambda context: f"{context.get('expected', 'one of the documented values')}",
    "enum": lambda context: f"{context.get('expected', 'one of the documented values')}",
    "none_required": _just("null"),
    "datetime_type": _just("a time such as 2026-01-02T03:04:05Z"),
    "datetime_parsing": _just("a time such as 2026-01-02T03:04:05Z"),
    "datetime_from_date_parsing": _just("a time such as 2026-01-02T03:04:05Z"),
    "timezone_aware": _just("a time with its zone, such as 2026-01-02T03:04:05Z"),
    "union_tag_invalid": _just("one of the documented kinds"),
    "union_tag_not_found": _just("one of the documented kinds"),
    "recursion_loop": _just("moderate nesting"),
}
