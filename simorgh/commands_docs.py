"""Prints the commands into docs/cli.md: `python -m simorgh.commands_docs`. A test compares the page with the code and
with `--help`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import typer.main

from simorgh.cli import app

PAGE: Final = Path(__file__).parent.parent / "docs" / "cli.md"
_BEGIN: Final = "<!-- printed by python -m simorgh.commands_docs -->\n"


def commands() -> Iterator[tuple[str, Any]]:
    """Every command with its full name, such as `sources key add`, in the order of `--help`."""
    root: Any = typer.main.get_command(app)
    yield from _below(root, "")


def _below(group: Any, path: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _below(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


def reference() -> str:
    """A heading, the help and a table of arguments and options for each command."""
    return "\n".join(_entry(name, command) for name, command in commands())


def _entry(name: str, command: Any) -> str:
    help_text = " ".join(str(command.help).split())
    rows = [row for parameter in command.params if (row := _row(parameter))]
    arguments = "".join(f" {_argument(one)}" for one in command.params if one.param_type_name == "argument")
    table = "\n".join(["| | |", "| --- | --- |", *rows]) + "\n" if rows else ""
    return f"### `simorgh {name}{arguments}`\n\n{help_text}\n" + (f"\n{table}" if table else "")


def _argument(parameter: Any) -> str:
    name = (parameter.metavar or parameter.name).upper()
    several = "…" if parameter.nargs == -1 else ""
    return f"{name}{several}" if parameter.required else f"[{name}{several}]"


def _row(parameter: Any) -> str:
    says = str(parameter.help or "").replace("|", "\\|")
    if parameter.param_type_name == "argument":
        return f"| `{(parameter.metavar or parameter.name).upper()}` | {says} |"
    if "--help" in parameter.opts:
        return ""
    default = parameter.default
    shown = "" if default is None or default is False or default == "" else f" Default: `{default}`."
    needed = " Required." if parameter.required else ""
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    return f"| `{names}` | {says}{shown}{needed} |"


def with_reference(page: str) -> str:
    """The page with the current commands below its mark. Raises ValueError if it has no mark."""
    before, mark, _ = page.partition(_BEGIN)
    if not mark:
        raise ValueError(f"docs/cli.md: no line {_BEGIN.strip()}; put it back")
    return f"{before}{mark}\n{reference()}"


if __name__ == "__main__":
    PAGE.write_text(with_reference(PAGE.read_text()))
