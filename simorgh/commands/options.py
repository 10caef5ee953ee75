"""Options that many commands share."""

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[Path | None, typer.Option(help="The data folder (SIMORGH_DATA). Default: ./simorgh-data")]
Host = Annotated[str, typer.Option(help="The address to listen on.")]
Port = Annotated[int, typer.Option(help="The port to listen on; 0 picks a free one.", min=0, max=65535)]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON, on one line.")]
Limit = Annotated[int, typer.Option(help="Largest number of items.", min=1)]
All = Annotated[bool, typer.Option("--all", help="All items, however many.")]


def group(says: str) -> typer.Typer:
    """A group of commands, such as `simorgh segments`."""
    return typer.Typer(help=says, no_args_is_help=True, rich_markup_mode=None, add_completion=False)
