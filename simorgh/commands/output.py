"""How commands print: tables on a terminal, tab-separated lines in a pipe, JSON with `--json`.

Nothing is truncated, and no outside text is interpreted as markup or as a terminal's control characters.
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

_CONTROLS: Final = re.compile("[\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters that JSON does not escape, those that change a line's direction, and halves of characters."""

Json = Any
"""A parsed answer of the API."""


def say(line: str) -> None:
    """A line for people, on standard output."""
    typer.echo(printable(line))


def note(line: str) -> None:
    """A line for people that is not output: on standard error, so that a pipe does not get it."""
    typer.echo(printable(line), err=True)


def tell(answer: Json, *, as_json: bool = False) -> None:
    """One thing, as JSON: on one line for programs, indented for people."""
    typer.echo(json_text(answer, indent=None if as_json else 2))


def json_text(value: Json, indent: int | None = None) -> str:
    """As JSON, letters unescaped; characters that control a terminal are escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def show(answer: Mapping[str, Json], columns: Sequence[str], *, as_json: bool = False) -> None:
    """A list as in the API's answers: `{"items", "next_cursor"}`. `columns` are members of its items."""
    if as_json:
        tell(answer, as_json=True)
        return
    rows = [[cell(item.get(column)) for column in columns] for item in answer["items"]]
    if not sys.stdout.isatty():
        for row in [list(columns), *rows]:
            typer.echo("\t".join(row))
    elif rows:
        Console().print(_table(columns, rows))
    else:
        say("none")
    if answer.get("next_cursor"):
        note(f"{len(rows)} shown, and there are more: use --limit or --all")


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def cell(value: Json) -> str:
    """A value on one line: texts as they are, lists separated by commas, objects as JSON, nothing as ""."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and not any(isinstance(one, list | dict) for one in value):
        return ", ".join(map(cell, value))
    if isinstance(value, list | dict):
        return printable(json_text(value))
    return printable(str(value))


def printable(text: str) -> str:
    """`text` with control characters escaped (\\n, \\x1b), so that it cannot move the cursor or break a row."""
    return text if text.isprintable() else "".join(map(_written_out, text))


def _written_out(character: str) -> str:
    # the joiners of letters are not "printable", but Persian needs them
    if character.isprintable() or character in "\u200c\u200d":
        return character
    return character.encode("unicode_escape", "surrogatepass").decode()


class _Rate(ProgressColumn):
    """How many are done a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed else "")


def progress(console: Console | None = None, *, rate: bool = False) -> Progress:
    """A progress bar on standard error, if that is a terminal; with the `rate`, and when it will end."""
    columns: list[ProgressColumn] = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
    columns += [_Rate(), TimeRemainingColumn()] if rate else [TimeRemainingColumn()]
    console = console or Console(stderr=True)
    return Progress(*columns, console=console, disable=not console.is_terminal)
