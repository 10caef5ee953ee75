"""The README's and the quick start's blocks, run as a reader would run them, against a real server.

Every `sh` block is run, in order, in one shell; only what installs is left out. A `json` block tells what the block
before it answers: what it shows must be there, `…` stands for anything, lists have the length that is shown.
"""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.harness import wait_for

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(sh|json|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INSTALLS = re.compile(r"make |\. \.venv")
END = "--- end of block ---"
START = "export SIMORGH_WRITE_KEY=my-write-key SIMORGH_API_TOKEN=my-token; simorgh serve &"
"""For pages that take a running server for granted."""


class Shell:
    """One bash for all blocks of a page, so that variables and jobs live on."""

    def __init__(self, folder: Path) -> None:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._bash = subprocess.Popen(
            ["bash"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
            env={**os.environ, "PATH": path},
        )

    def run(self, block: str) -> str:
        """What the block prints. Fails where its last command does."""
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        self._bash.stdin.write(f"{block}\necho; echo '{END}' $?\n")
        self._bash.stdin.flush()
        lines: list[str] = []
        for line in self._bash.stdout:
            if line.startswith(END):
                assert line.split()[-1] == "0", f"a block failed: {block}"
                break
            lines.append(line)
        return "".join(lines).strip()

    def close(self) -> None:
        """Ends its jobs, too."""
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        self._bash.stdin.write("kill $(jobs -p) 2>/dev/null; wait\n")
        self._bash.stdin.close()
        self._bash.wait(30)
        self._bash.stdout.close()


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def wait_until_visible(url: str) -> None:
    """What a reader does by reading: let the projections come after."""
    with httpx.Client(base_url=url, headers={"authorization": "Bearer my-token"}) as api:

        def settled() -> bool:
            try:
                stages = api.get("/v1/status").json()["projections"]
            except httpx.TransportError:
                return False
            return all(stage["lag_events"] == 0 for stage in stages)

        wait_for(settled, "the server of the page did not catch up")


def assert_shows(came: Any, shown: Any, at: str = "answer") -> None:
    if isinstance(shown, dict):
        assert isinstance(came, dict), at
        assert set(shown) <= set(came), f"{at}: shown but not there: {set(shown) - set(came)}"
        for key, value in shown.items():
            assert_shows(came[key], value, f"{at}.{key}")
    elif isinstance(shown, list):
        assert isinstance(came, list), at
        assert len(came) == len(shown), at
        for n, pair in enumerate(zip(came, shown, strict=True)):
            assert_shows(*pair, f"{at}[{n}]")
    elif isinstance(shown, str) and "…" in shown:
        assert_text_shows(came, shown, at)
    else:
        assert came == shown, at


def assert_text_shows(came: str, shown: str, at: str) -> None:
    assert re.search(".*".join(map(re.escape, shown.split("…"))), came, re.DOTALL), f"{at}: {came}"


@pytest.mark.parametrize("page", ["README.md", "docs/quickstart.md", "docs/sending.md"])
def test_a_page_does_what_it_says(page: str, tmp_path: Path) -> None:
    port, receiver = free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    text = (ROOT / page).read_text()
    if "simorgh serve" not in text:
        text = f"```sh\n{START}\n```\n{text}"
    text = text.replace("127.0.0.1:8000", f"127.0.0.1:{port}")
    text = text.replace("simorgh serve", f"simorgh serve --port {port}")
    text = text.replace("127.0.0.1:9000", f"127.0.0.1:{receiver}").replace(", 9000)", f", {receiver})")
    shell = Shell(tmp_path)
    answer, compared = "", 0
    try:
        for kind, block in BLOCK.findall(text):
            if kind == "sh" and not INSTALLS.match(block):
                answer = shell.run(block)
                if "kill" not in block:
                    wait_until_visible(url)
            elif kind == "json":
                assert_shows(json.loads(answer.splitlines()[-1]), json.loads(block))
                compared += 1
            elif kind == "text":
                assert_text_shows(answer, block.strip(), "output")
                compared += 1
    finally:
        shell.close()
    assert compared == text.count("\n```json\n") + text.count("\n```text\n") > 0
