"""A forked program is like one that Python has started (`tests/programs.py`)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.programs import Program, run


@pytest.mark.parametrize("words", ["schemas list", "keys --no-such-option"])
def test_it_prints_and_ends_as_one_that_was_started(words: str, tmp_path: Path) -> None:
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "simorgh", *words.split()]
    started = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    forked = run(*words.split(), env=environment, cwd=tmp_path)
    assert (forked.returncode, forked.stdout, forked.stderr) == (started.returncode, started.stdout, started.stderr)


def test_its_environment_folder_and_limits_are_its_own(tmp_path: Path) -> None:
    environment = {**os.environ, "SIMORGH_WRITE_KEY": "a-key-of-this-program"}
    with Program(
        *("serve", "--data", "here", "--port", "0"),
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        descriptors=300,
    ) as server:
        assert server.stdout is not None
        assert "listens on" in server.stdout.readline()
        if sys.platform == "linux":
            place = Path("/proc", str(server.pid))
            assert "Max open files            300                  300" in (place / "limits").read_text()
            assert (place / "cwd").resolve() == tmp_path.resolve()
            assert int((place / "stat").read_text().split()[3]) == os.getpid(), "a child of ours"
        assert (tmp_path / "here").is_dir()
        server.terminate()
        assert server.wait(30) == 0
