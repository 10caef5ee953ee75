"""`simorgh privacy export`: everything that is known about a person, as a file for them."""

import os
import zipfile
from pathlib import Path
from typing import Annotated, Literal

import typer

from schemas.errors import Broken, Conflict, InvalidInput
from simorgh.commands.options import Data
from simorgh.commands.output import note
from simorgh.commands.session import connect, path_of

Key = Annotated[str, typer.Argument(help="A profile id, or type:value such as email:sara@example.com.")]


def add_to(commands: typer.Typer) -> None:
    commands.command()(export)


def export(
    key: Key,
    output: Annotated[Path, typer.Option(help="A new ZIP file that only you can read.")],
    lang: Annotated[Literal["en", "fa"], typer.Option(help="The language of its page.")] = "en",
    data: Data = None,
) -> None:
    """Export everything that is known about a person: JSON, CSV, and a page to read."""
    if output.exists():
        raise Conflict(f"{output}: wanted a new file, got one that exists; name another file, or remove it")
    if not output.parent.is_dir():
        raise InvalidInput(f"{output}: wanted a file in a directory, got one whose directory is missing; create it")
    draft = output.with_name(output.name + ".part")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file, connect(data) as api:
            api.download(path_of("profiles", key, "export"), file, lang=lang)
        if not zipfile.is_zipfile(draft):
            raise Broken("export: wanted a whole ZIP, got one that ends early; see the server's log, and try again")
        os.replace(draft, output)
    finally:
        draft.unlink(missing_ok=True)
    note(f"written to {output}")
