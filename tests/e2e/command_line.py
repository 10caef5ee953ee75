"""The program `simorgh` as its user meets it.

`simorgh` runs it in this process, which is quicker: for a command that speaks to a server, or that refuses. `program`
starts a process: for what opens a folder (the engine opens one per process) or sets up its process.
"""

import io
import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL
from typing import Any
from unittest.mock import patch

from simorgh.cli import main
from tests.e2e.harness import TOKEN, WRITE_KEY
from tests.programs import Program, run

ENVIRONMENT = {"SIMORGH_WRITE_KEY": WRITE_KEY, "SIMORGH_API_TOKEN": TOKEN, "NO_COLOR": "1", "COLUMNS": "200"}

TILL = """
name = "till"
channel = "pos"
currency = "EUR"
[document]
column = "receipt"
[time]
column = "when"
[[identifiers]]
column = "card"
type = "loyalty_card"
[line]
sku = "item"
quantity = "n"
price = "each"
"""
"""A mapping of a till's file."""


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    def answer(self) -> str:
        """What a command that succeeded printed."""
        assert self.code == 0, f"{self.code}\n{self.out}\n{self.err}"
        return self.out

    def json(self) -> Any:
        return json.loads(self.answer())

    def rows(self) -> list[dict[str, str]]:
        """What a list prints into a pipe."""
        names, *rows = [line.split("\t") for line in self.answer().splitlines()]
        return [dict(zip(names, row, strict=True)) for row in rows]

    def fault(self, *codes: int) -> str:
        """The one readable line that says what was wrong. `codes`: the exit codes it may have, else 1 or 2."""
        assert self.code in (codes or (1, 2)), (self.code, self.out, self.err)
        assert "Traceback" not in self.err + self.out
        [line] = self.err.splitlines()
        assert line.startswith("error "), line
        assert "Errno" not in line
        return line


def simorgh(*words: str | Path, cwd: Path | None = None, **environment: str) -> Ended:
    """Run the program with these words in this process, and leave the process as it was."""
    out, err = _Captured(), _Captured()
    with ExitStack() as undo:
        undo.enter_context(patch.object(sys, "argv", ["simorgh", *map(str, words)]))
        undo.enter_context(patch.dict(os.environ, _environment(environment), clear=True))
        if cwd:
            undo.enter_context(chdir(cwd))
        undo.enter_context(_process_as_it_was())
        undo.enter_context(redirect_stdout(out))
        undo.enter_context(redirect_stderr(err))
        try:
            main()
            code: Any = 0
        except SystemExit as ended:
            code = ended.code
    return Ended(code or 0, out.text(), err.text())


def program(*words: str | Path, cwd: Path | None = None, **environment: str) -> Ended:
    """Run the program with these words as a process of its own, to its end."""
    done = run(*words, cwd=cwd, env={**_environment(environment), "PYTHONPATH": os.getcwd()})
    return Ended(done.returncode, done.stdout, done.stderr)


def started(*words: str | Path) -> Program:
    """The program with these words, running."""
    return Program(*words, env=_environment({}), stdout=DEVNULL, stderr=DEVNULL)


def _environment(more: dict[str, str]) -> dict[str, str]:
    """Ours without any setting that the machine has, with the tests' own."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("SIMORGH_")}
    return {**mine, **ENVIRONMENT, **more}


class _Captured(io.TextIOWrapper):
    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)

    def text(self) -> str:
        raw = self.detach()
        assert isinstance(raw, io.BytesIO)
        return raw.getvalue().decode()


@contextmanager
def _process_as_it_was() -> Iterator[None]:
    """A command sets up the log lines and the rights of files of its process. Here its handler would outlive it and
    write to a closed stream."""
    handlers, levels = logging.root.handlers[:], {one.name: one.level for one in _loggers()}
    umask = os.umask(0o077)
    os.umask(umask)
    try:
        yield
    finally:
        os.umask(umask)
        for handler in [one for one in logging.root.handlers if one not in handlers]:
            logging.root.removeHandler(handler)
            handler.close()
        logging.root.handlers[:] = handlers
        for logger in _loggers():
            logger.setLevel(levels.get(logger.name, logging.NOTSET))


def _loggers() -> list[logging.Logger]:
    return [logging.root, *(one for one in logging.root.manager.loggerDict.values() if isinstance(one, logging.Logger))]


@contextmanager
def nothing_made(folder: Path) -> Iterator[None]:
    before = sorted(folder.rglob("*"))
    yield
    assert sorted(folder.rglob("*")) == before
