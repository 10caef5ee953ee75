"""`simorgh import`: a file of purchases, people, accounts, leads or events."""

import sys
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from schemas.errors import InvalidInput
from simorgh.commands.options import Data
from simorgh.commands.output import note, progress, say, tell

MAX_REFUSED: Final = 0.1


def add_to(app: typer.Typer) -> None:
    app.command("import")(import_)


def import_(
    file: Annotated[Path, typer.Argument(help="CSV, TSV, Excel, JSON Lines or Parquet.")],
    mapping: Annotated[
        str | None,
        typer.Option(help="A file that maps columns to events, or the name of a shipped mapping (docs/import.md)."),
    ] = None,
    guess: Annotated[
        bool, typer.Option("--guess", help="Print the mapping that the file's columns suggest, and import nothing.")
    ] = False,
    channel: Annotated[str | None, typer.Option(help="The channel of the events. Default: the mapping's.")] = None,
    source: Annotated[
        str | None, typer.Option(help="The declared source whose settings hold. Default: the mapping's.")
    ] = None,
    max_refused: Annotated[
        float, typer.Option(help="Exit with 1 if more than this share of the rows was refused.", min=0, max=1)
    ] = MAX_REFUSED,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and report, send nothing.")] = False,
    go_on: Annotated[
        bool, typer.Option("--go-on", help="Do not stop when 1,000 rows in a row fail for one reason.")
    ] = False,
    create: Annotated[bool, typer.Option("--create", help="Create the data folder if it is missing.")] = False,
    data: Data = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON, on one line.")] = False,
) -> None:
    """Import a file of orders, people, accounts, leads or events, and report what is new, known, repaired and refused.

    Exits with 1 if nothing of the file could be used, too much of it was refused, or the import stopped. An interrupted
    import goes on where it stopped when it is started again.
    """
    from simorgh.importing import run

    if guess:
        from producers.files.guess import guess_mapping

        for line in guess_mapping(file, channel).splitlines():
            say(line)
        return
    if mapping is None:
        raise InvalidInput(
            "import: wanted --mapping, got none; `simorgh import FILE --guess > mapping.toml` writes one to start with"
        )
    with progress(rate=True) as bar:
        report = run(
            file, mapping, data, bar, channel=channel, source=source, dry_run=dry_run, go_on=go_on, create=create
        )
    if as_json:
        tell(report.as_json(), as_json=True)
    else:
        # in a pipe, lines are never wrapped
        Console(width=None if sys.stdout.isatty() else 1_000).print(report)
    if report.failed:
        note(f"{file.name}: no row could be used; see the reasons above, then fix the mapping or the file")
        raise typer.Exit(1)
    if report.refused_too_much(max_refused):
        note(
            f"{file.name}: wanted at most {max_refused:.0%} of {report.rows:,} rows refused, got {report.unusable:,};"
            " see the reasons above, or give --max-refused"
        )
        raise typer.Exit(1)
