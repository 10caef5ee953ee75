"""The program `simorgh`: its commands put together, and how it ends. Errors are one line.

Each command is a few lines in `simorgh/commands/`: settings, a call, a readable end.
"""

import errno
import os
import sys
from typing import Any

import typer

from schemas.errors import SimorghError
from simorgh.commands import (
    export,
    importing,
    keys,
    profiles,
    rejected,
    roles,
    schemata,
    segments,
    sources,
    triggers,
    upkeep,
)
from simorgh.commands.options import group
from simorgh.commands.output import printable

app = group("Simorgh: an event-sourced customer data platform.")
for one in (roles, importing, upkeep):
    one.add_to(app)
for name, commands in {
    "profiles": profiles.commands,
    "segments": segments.commands,
    "triggers": triggers.commands,
    "export": export.commands,
    "sources": sources.commands,
    "keys": keys.commands,
    "rejected": rejected.commands,
    "schemas": schemata.commands,
}.items():
    app.add_typer(commands, name=name)


def main() -> None:
    """The entry point. Exits with 0, with 1 after an error, with 2 where a command was called wrongly."""
    try:
        code = app(prog_name="simorgh", standalone_mode=False)
        sys.stdout.flush()
    except SimorghError as error:
        fail(error.message)
    except OSError as error:
        if error.errno == errno.EPIPE:  # whoever read our output has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(141)
        fail(f"{error.filename or 'system'}: {error.strerror or error}")
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        _called_wrongly(error)
    else:
        sys.exit(code)


def fail(message: str, code: int = 1) -> None:
    """End with one line that says what is wrong and what to do."""
    typer.echo(f"{typer.style('error', fg='red')} {printable(message)}", err=True)
    sys.exit(code)


def _called_wrongly(error: Any) -> None:
    """A usage error of the parser's, which says it in three lines; or a group without a command: then its help."""
    path = error.ctx.command_path if getattr(error, "ctx", None) else "simorgh"
    if not str(error.format_message()).strip() or type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        sys.exit(2)
    said = " ".join(str(error.format_message()).split()).removesuffix(".")
    fail(f"{said}; see `{path} --help`", 2)


if __name__ == "__main__":
    main()
