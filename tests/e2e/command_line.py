"""The program `simorgh` as its user meets it, but in this process where it only speaks to a server: that is quicker."""

import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from simorgh.cli import main


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)

    def rows(self) -> list[dict[str, str]]:
        """What a list prints into a pipe."""
        assert self.code == 0, self.err
        names, *rows = [line.split("\t") for line in self.out.splitlines()]
        return [dict(zip(names, row, strict=True)) for row in rows]

    def fault(self) -> str:
        """The one line that says what was wrong."""
        assert self.code in (1, 2), (self.code, self.out, self.err)
        assert "Traceback" not in self.err + self.out
        [line] = self.err.splitlines()
        assert line.startswith("error "), line
        return line


class _Captured(io.TextIOWrapper):
    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)

    def text(self) -> str:
        raw = self.detach()
        assert isinstance(raw, io.BytesIO)
        return raw.getvalue().decode()


def simorgh(*words: str | Path) -> Ended:
    """Run the program with these words."""
    out, err = _Captured(), _Captured()
    with patch.object(sys, "argv", ["simorgh", *map(str, words)]), redirect_stdout(out), redirect_stderr(err):
        try:
            main()
            code: Any = 0
        except SystemExit as ended:
            code = ended.code
    return Ended(code or 0, out.text(), err.text())


@contextmanager
def nothing_made(folder: Path) -> Iterator[None]:
    before = sorted(folder.rglob("*"))
    yield
    assert sorted(folder.rglob("*")) == before
