"""Prints the settings into docs/configuration.md: `python -m simorgh.settings_docs`. A test compares the two."""

from pathlib import Path
from typing import Final

from simorgh.settings import Settings

PAGE: Final = Path(__file__).parent.parent / "docs" / "configuration.md"
_HEAD: Final = "| variable | default | what it sets |\n| --- | --- | --- |\n"


def settings_table() -> str:
    """A line per field of the settings model, in its order, below the table's head."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = str(field.default).lower() if isinstance(field.default, bool) else str(field.default)
        shown = "not set" if field.default in (None, "") else f"`{default}`"
        rows.append(f"| `SIMORGH_{name.upper()}` | {shown} | {field.description} |")
    return _HEAD + "\n".join(rows)


def with_table(page: str) -> str:
    """The page with the current table. Raises ValueError if it has none."""
    before, _, rest = page.partition(_HEAD)
    if not rest:
        raise ValueError(f"docs/configuration.md: no table that begins with {_HEAD!r}; put its head back")
    _, _, after = rest.partition("\n\n")
    return f"{before}{settings_table()}\n\n{after}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
