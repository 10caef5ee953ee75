"""What the bridge must know of a statement's text before chDB gets it."""

import re
from dataclasses import dataclass

_INSERT = re.compile(
    rb"(?P<head>\s*INSERT\s+INTO\s+(?!FUNCTION\b)[\w`.]+\s*(?:\([^()]*\))?)"
    rb"(?P<settings>\s+SETTINGS\s[^()]*?)?\s+FORMAT\s+(?P<format>\w+)[ \t]*(?:\r?\n|$)",
    re.IGNORECASE,
)
_FORMAT = re.compile(rb"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)
_YIELDS = re.compile(rb"[\s(]*(SELECT|WITH|SHOW|DESC|DESCRIBE|EXISTS|EXPLAIN)\b", re.IGNORECASE)
_PIECES = re.compile(
    rb"""
    '(?:\\.|''|[^'\\])*' | "(?:\\.|""|[^"\\])*" | `(?:\\.|``|[^`\\])*`  # in quotes
    | --[^\n]* | \#[!\x20][^\n]* | /\*.*?\*/  # a comment
    | (;)
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Insert:
    """An insert whose rows follow its statement. `head` ends before SETTINGS."""

    head: str
    settings: str
    format: str
    data: bytes


def parse_insert(statement: bytes) -> Insert | None:
    """None: not an insert, or one whose rows are in the statement (SELECT, VALUES)."""
    found = _INSERT.match(statement)
    if found is None:
        return None
    head, settings, name = (text.decode() if text else "" for text in found.group("head", "settings", "format"))
    return Insert(head, settings, name, statement[found.end() :])


def one_statement(statement: bytes) -> bool:
    """Whether nothing but space and comments follows the first semicolon that is not in quotes or a comment."""
    for piece in _PIECES.finditer(statement):
        if piece[1]:
            return not _PIECES.sub(b"", statement[piece.end() :]).strip()
    return True


def writes_a_file(statement: bytes) -> bool:
    """Which the embedded engine does even when it is read-only, and a server never."""
    return re.search(rb"\bINTO\s+OUTFILE\b", _PIECES.sub(b" ", statement), re.IGNORECASE) is not None


def yields_rows(statement: bytes, default: str) -> str | None:
    """The format of the answer, or None for a statement that has none."""
    if not _YIELDS.match(_without_comments(statement)):
        return None
    found = _FORMAT.search(statement)
    return found[1].decode() if found else default


def _without_comments(statement: bytes) -> bytes:
    return re.sub(rb"^(\s*(--[^\n]*\n|/\*.*?\*/))+", b"", statement, flags=re.DOTALL)
