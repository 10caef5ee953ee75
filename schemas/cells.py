"""Texts in cells of a CSV file that somebody opens in a spreadsheet."""

from typing import Final

_STARTS_A_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def harmless(text: str) -> str:
    """The text as it is, or behind an apostrophe where a spreadsheet would run it as a formula."""
    return "'" + text if text.lstrip(" ").startswith(_STARTS_A_FORMULA) else text
