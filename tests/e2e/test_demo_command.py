"""`simorgh demo`: what it says of its data, and that it leaves none behind without a word."""

import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from simorgh.demo import keeping
from simorgh.demo.keeping import Stay, keep_or_remove
from tests.e2e.command_line import simorgh
from tests.programs import run


@pytest.fixture
def stay(tmp_path: Path) -> Stay:
    folder = tmp_path / "made by the demo"
    folder.mkdir()
    (folder / "log.sqlite").write_bytes(b"x" * 3_000_000)
    return Stay(folder, "wk", "tk", 8123)


def said(stay: Stay, *, wish: bool | None, ours: bool) -> str:
    lines: list[str] = []
    keep_or_remove(stay, wish=wish, ours=ours, say=lines.append)
    return "\n".join(lines)


@pytest.mark.parametrize(("wish", "ours"), [(True, True), (True, False), (None, False), (None, True)])
def test_data_that_stays_is_named_with_all_that_coming_back_needs(stay: Stay, wish: bool | None, ours: bool) -> None:
    told = said(stay, wish=wish, ours=ours)  # where nobody can be asked, nothing is removed
    assert stay.folder.is_dir()
    assert "(3 MB)" in told
    [command] = [line for line in told.splitlines() if " serve --data " in line]
    assert shlex.split(command)[-4:] == ["--data", str(stay.folder), "--port", "8123"]
    assert "SIMORGH_API_TOKEN=tk" in command
    assert f"rm -r '{stay.folder}'" in told


@pytest.mark.parametrize("ours", [True, False])
def test_data_is_removed_where_that_was_wished(stay: Stay, ours: bool) -> None:
    assert "Removed" in said(stay, wish=False, ours=ours)
    assert not stay.folder.exists()


@pytest.mark.parametrize(("answer", "stays"), [("y", True), ("n", False), ("", False)])
def test_on_a_terminal_somebody_is_asked(stay: Stay, answer: str, stays: bool) -> None:
    """With a real terminal, since that is what decides."""
    ours, theirs = pty.openpty()
    code = (
        "from pathlib import Path; from simorgh.demo.keeping import *;"
        f"keep_or_remove(Stay(Path({str(stay.folder)!r}), 'wk', 'tk', 0), wish=None, ours=True, say=print)"
    )
    asking = subprocess.Popen([sys.executable, "-c", code], stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.write(ours, f"{answer}\n".encode())
    assert asking.wait(60) == 0
    os.close(ours)
    assert stay.folder.exists() is stays


def test_no_answer_loses_nothing(stay: Stay, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> bool:
        raise typer.Abort

    monkeypatch.setattr(typer, "confirm", stop)
    assert keeping._asked("Keep it?") is None


def test_a_folder_that_holds_something_is_refused(stay: Stay) -> None:
    assert "empty folder" in simorgh("demo", "--data", stay.folder, "--no-serve").fault()


def test_a_demo_that_cannot_begin_leaves_nothing(tmp_path: Path) -> None:
    """Its server finds the port in use."""
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = run("demo", "--port", str(taken.getsockname()[1]), env={**os.environ, "TMPDIR": str(tmp_path)})
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert ended.stderr.splitlines()[-1].startswith("error demo: ")
    assert re.search(r"Removed .*simorgh-demo-", ended.stdout)
    assert list(tmp_path.glob("simorgh-demo-*")) == []
