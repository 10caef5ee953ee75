"""Commands that keep data safe: backup, restore, and a lost secret."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from simorgh.settings import load_settings

Data = Annotated[Path | None, typer.Option(help="The data folder (SIMORGH_DATA). Default: ./simorgh-data")]

secret_commands = typer.Typer(help="The workspace's secret, which keys the hash of identifiers.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    app.command()(backup)
    app.command()(restore)
    app.add_typer(secret_commands, name="secret")


def backup(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder, preferably on another disk.")],
    keys: Annotated[
        Path | None,
        typer.Option(
            help="Copy the data keys to this file, outside of the backup, in place of what is there. Without the newest"
            " copy nobody's data in any backup can be read; an old copy would bring back people who were forgotten."
        ),
    ] = None,
    data: Data = None,
) -> None:
    """Copy the log and the secret in one consistent state, also while a server runs."""
    from schemas.clock import system_clock
    from schemas.errors import InvalidInput
    from simorgh.backup import back_up, copy_keys

    settings = load_settings(data=data)
    if keys and folder.absolute() in keys.absolute().parents:
        raise InvalidInput(
            f"--keys: wanted a file outside of the backup, got one in {folder}; keep it apart, so that an old backup"
            " has no keys"
        )
    with _bytes("copied") as bar:
        manifest = back_up(settings, folder, system_clock, bar)
    if keys:
        copy_keys(settings, keys)
    else:
        typer.echo("data keys: not copied, and without them nothing personal can be read: see --keys", err=True)
    for line in manifest.damage:
        typer.echo(f"the log is damaged: {line}", err=True)
    typer.echo(f"backed up: {manifest.events:,} events to {folder}; check it with: simorgh doctor --data {folder}")


def restore(
    folder: Annotated[Path, typer.Argument(help="A folder that `simorgh backup` made.")],
    keys: Annotated[
        Path | None, typer.Option(help="The newest copy of the data keys. Default: the ones in the data folder.")
    ] = None,
    data: Data = None,
) -> None:
    """Check a backup and restore it into a new data folder. Overwrites nothing."""
    from simorgh.backup import restore as run

    settings = load_settings(data=data)
    with _bytes("restored") as bar:
        manifest = run(settings, folder, bar, keys=keys)
    typer.echo(
        f"restored: {manifest.events:,} events, as of {manifest.made_at}, into {settings.data};"
        " the first `simorgh serve` rebuilds the tables"
    )


@secret_commands.command("renew")
def renew(
    data: Data = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Start with a new secret after the old one is lost for good. Returning customers become new profiles."""
    from simorgh.folder import renew_secret

    settings = load_settings(data=data)
    if not yes:
        typer.confirm(
            f"Profiles in {settings.data} stay, but returning customers become new profiles. Continue?",
            abort=True,
        )
    renew_secret(settings)
    typer.echo(f"renewed: {settings.data}/keys.json holds a new secret; back it up now: simorgh backup")


@contextmanager
def _bytes(what: str) -> Iterator["_Bar"]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield _Bar(progress, what)


class _Bar:
    def __init__(self, progress: Progress, what: str) -> None:
        self._progress = progress
        self._task = progress.add_task(what, total=None)

    def __call__(self, done: int, total: int) -> None:
        self._progress.update(self._task, completed=done, total=total)
