"""Faults of the given settings as helpful text: the variable, what was wanted, what it got.

A misspelt variable would be silently ignored and the default used, so every name that starts with SIMORGH_ must be
known.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from schemas.errors import InvalidSettings

PREFIX: Final = "SIMORGH_"
FILE: Final = "SIMORGH_ENV_FILE"

NO_SETTINGS: Final = frozenset({FILE, "SIMORGH_CRASH_AT", "SIMORGH_REQUIRE_KAFKA", "SIMORGH_CACHE"})
"""Names that other code reads: this module, tests, and the programs in `deploy/`."""

_SERVICE_LINK: Final = re.compile(
    r"\w+(_SERVICE_HOST=.*|_SERVICE_PORT(_\w+)?=\d+|_PORT(_\d+_(TCP|UDP|SCTP))?=\w+://.*"
    r"|_PORT_\d+_(TCP|UDP|SCTP)_(PROTO|PORT|ADDR)=.*)"
)
"""Variables that Kubernetes and Docker add for a service called `simorgh-…`. Nobody typed these."""

_LINE: Final = re.compile(r"^\s*(?:export\s+)?(\w+)\s*=", re.MULTILINE)

_SECRET: Final = ("secret", "key", "token", "clickhouse", "security")
"""Parts of the names of settings whose values are never shown."""

_WANTED: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "int_parsing": lambda context: "wanted a whole number",
    "int_from_float": lambda context: "wanted a whole number",
    "float_parsing": lambda context: "wanted a number",
    "finite_number": lambda context: "wanted a number",
    "bool_parsing": lambda context: "wanted true or false",
    "greater_than_equal": lambda context: f"wanted at least {context['ge']}",
    "less_than_equal": lambda context: f"wanted at most {context['le']}",
    "literal_error": lambda context: f"wanted {context['expected']}",
    "string_pattern_mismatch": lambda context: f"wanted a name that matches {context['pattern']}",
    "string_too_short": lambda context: f"wanted at least {context['min_length']} characters",
    "value_error": lambda context: str(context["error"]),
}


def named_file() -> Path | None:
    """The file of settings, or None. Raises `InvalidSettings` if it cannot be read."""
    name = os.environ.get(FILE)
    if not name:
        return None
    try:
        with open(name, encoding="utf-8") as file:
            file.read(1)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise InvalidSettings(
            f"settings: {FILE}: wanted a file of lines NAME=value, got {name}, which cannot be read; {why}"
        ) from None
    return Path(name)


def unknown_names(settings: set[str], file: Path | None) -> list[str]:
    """A line for each name in the environment and the file that is not one of `settings` (no prefix, upper case)."""
    known = {PREFIX + name for name in settings} | NO_SETTINGS
    typed = [name for name, value in os.environ.items() if not _SERVICE_LINK.fullmatch(f"{name}={value}")]
    written = _LINE.findall(file.read_text(encoding="utf-8")) if file else []
    names = {name.upper() for name in (*typed, *written)}
    return [_unknown(name, known) for name in sorted(names - known) if name.startswith(PREFIX)]


def _unknown(name: str, known: set[str]) -> str:
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]}?" if near else "docs/configuration.md lists the settings"
    return f"{name}: wanted a setting, got an unknown name; {hint}"


def readable(error: ValidationError) -> Iterator[str]:
    """A line for each fault. Secret values are not shown."""
    for fault in error.errors(include_url=False):
        name = str(fault["loc"][0])
        wanted = _WANTED.get(fault["type"])
        says = wanted(fault.get("ctx", {})) if wanted else str(fault["msg"])
        secret = any(part in name for part in _SECRET)
        yield f"{PREFIX}{name.upper()}: {says}" + ("" if secret else f", got {str(fault['input'])[:60]!r}")
