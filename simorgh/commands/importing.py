"""`simorgh import`: a file of purchases."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from simorgh.commands.options import Data
from simorgh.commands.output import note, progress, tell


def add_to(app: typer.Typer) -> None:
    app.command("import")(import_)


def import_(
    file: Annotated[Path, typer.Argument(help="CSV, TSV, Excel, JSON Lines or Parquet.")],
    mapping: Annotated[Path, typer.Option(help="A file that maps columns to events (docs/import.md).")],
    channel: Annotated[str | None, typer.Option(help="The channel of the events. Default: the mapping's.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and report, send nothing.")] = False,
    go_on: Annotated[
        bool, typer.Option("--go-on", help="Do not stop when 1,000 rows in a row fail for one reason.")
    ] = False,
    create: Annotated[bool, typer.Option("--create", help="Create the data folder if it is missing.")] = False,
    data: Data = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON, on one line.")] = False,
) -> None:
    """Import a file of purchases, and report new, known, repaired and rejected events.

    Exits with 1 if nothing of the file could be used, or the import stopped.
    """
    from simorgh.importing import run

    with progress() as bar:
        report = run(file, mapping, data, bar, channel=channel, dry_run=dry_run, go_on=go_on, create=create)
    if as_json:
        tell(report.as_json(), as_json=True)
    else:
        # in a pipe, lines are never wrapped
        Console(width=None if sys.stdout.isatty() else 1_000).print(report)
    if report.failed:
        note(f"{file.name}: no row could be used; see the reasons above, then fix the mapping or the file")
        raise typer.Exit(1)
