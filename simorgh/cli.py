"""The program `simorgh`: its commands, and its exit codes. Errors are one line.

Each command is a few lines in `simorgh/commands/`: settings, a call, readable output.
"""

import errno
import logging
import os
import sys
from contextlib import suppress
from typing import Any, Final, NoReturn

import typer

from simorgh import faults
from simorgh.commands import (
    export,
    importing,
    keys,
    privacy,
    profiles,
    rejected,
    roles,
    safekeeping,
    schemata,
    segments,
    sources,
    traits,
    triggers,
    upkeep,
    watching,
)
from simorgh.commands.options import group
from simorgh.commands.output import printable

app = group("Simorgh: an event-sourced customer data platform.")
for one in (roles, importing, watching, upkeep, safekeeping):
    one.add_to(app)
for name, commands in {
    "profiles": profiles.commands,
    "segments": segments.commands,
    "traits": traits.commands,
    "triggers": triggers.commands,
    "export": export.commands,
    "privacy": privacy.commands,
    "sources": sources.commands,
    "keys": keys.commands,
    "rejected": rejected.commands,
    "schemas": schemata.commands,
}.items():
    app.add_typer(commands, name=name)

_PIPE_CLOSED = 141  # the shell's code for a program ended by SIGPIPE


def main() -> NoReturn:
    """The entry point. Exits with 0, with 1 after an error, with 2 after wrong usage."""
    try:
        code = app(prog_name="simorgh", standalone_mode=False)
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit(faults.INTERRUPTED)
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.EPIPE:  # the reader of our output has stopped reading
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(_PIPE_CLOSED)
        if hasattr(error, "format_message"):
            _called_wrongly(error)
        fail(faults.explain(error), faults.ERROR)
    sys.exit(code or 0)


_KEEPING_THREADS: Final = frozenset({"chdb", "confluent_kafka"})


def process() -> NoReturn:
    """`main`, as all that a process does. Where the embedded engine or librdkafka was open, the process ends at once
    after it.

    Everything is closed and written by then, but both keep threads (chDB 4.4; librdkafka where the broker does not
    answer), and now and then one of them crashes while the interpreter takes its libraries apart: a role that has
    stopped well would exit with SIGSEGV.
    """
    try:
        main()
    except SystemExit as ended:
        if _KEEPING_THREADS.isdisjoint(sys.modules):
            raise
        logging.shutdown()
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(ended.code if isinstance(ended.code, int) else bool(ended.code))


def fail(message: str, code: int) -> NoReturn:
    """Exit with one line that says what is wrong and what to do."""
    typer.echo(f"{typer.style('error', fg='red')} {printable(message)}", err=True)
    sys.exit(code)


def _called_wrongly(error: Any) -> NoReturn:
    """A usage error, which the parser prints in three lines; or a group without a command: print its help."""
    path = error.ctx.command_path if getattr(error, "ctx", None) else "simorgh"
    said = " ".join(str(error.format_message()).split()).removesuffix(".")
    if not said or type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        sys.exit(faults.USAGE)
    fail(f"{said}; see `{path} --help`", faults.USAGE)


if __name__ == "__main__":
    process()
