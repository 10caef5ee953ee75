"""`simorgh watch`: a folder into which files are dropped, or a URL that is fetched on a schedule."""

import signal
import threading
from typing import Annotated

import typer

from simorgh.commands.importing import MAX_REFUSED
from simorgh.commands.options import Data
from simorgh.commands.output import say


def add_to(app: typer.Typer) -> None:
    app.command()(watch)


def watch(
    where: Annotated[str, typer.Argument(help="A folder, or the URL of a file.")],
    mapping: Annotated[
        list[str],
        typer.Option(help="A mapping, or the name of a shipped one. May be repeated: the first whose `files` match."),
    ],
    every: Annotated[float, typer.Option(help="Seconds between two fetches of a URL.", min=1)] = 3600.0,
    header: Annotated[
        list[str] | None, typer.Option(help="A header for the URL's host, as `Name: value`. May be repeated.")
    ] = None,
    max_refused: Annotated[
        float, typer.Option(help="A file of which more than this share was refused counts as failed.", min=0, max=1)
    ] = MAX_REFUSED,
    once: Annotated[bool, typer.Option("--once", help="Import what is there, then end.")] = False,
    data: Data = None,
) -> None:
    """Import the files that are dropped into a folder, each once, and move them to `done/` or `failed/` with their
    reports; or the file at a URL whenever it changes. Runs until it is stopped."""
    from simorgh.settings import load_settings
    from simorgh.settings_values import Watch
    from simorgh.watching import watch_here

    settings = load_settings(data=data)
    pairs = (one.partition(":") for one in header or [])
    wanted = Watch.model_validate(
        {
            "from": where,
            "mappings": mapping,
            "every_seconds": every,
            "max_refused": max_refused,
            "headers": {name.strip(): value.strip() for name, _, value in pairs},
        }
    )
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    count = watch_here(settings, wanted, stop, say, once=once)
    if once:
        say(f"{count} files put away")
