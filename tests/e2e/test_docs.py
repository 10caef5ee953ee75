"""The blocks of the README, the quick start, the API's page and the senders', run as a reader would run them, against a
real server.

Every `sh` block is run, in order, in one shell; only what installs is left out. A `json` block tells what the block
before it answers: what it shows must be there, `…` stands for anything, lists have the length that is shown.
"""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from jsonschema_rs import Draft202012Validator

from tests.e2e.harness import wait_for

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(sh|json|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INSTALLS = re.compile(r"make |\. \.venv")
END = "--- end of block ---"
START = "export SIMORGH_WRITE_KEY=my-write-key-for-a-try SIMORGH_API_TOKEN=my-token-for-a-try; simorgh serve &"
"""For pages that take a running server for granted."""


class Shell:
    """One bash for all blocks of a page, so that variables and jobs live on. `programs`: a folder whose programs come
    before the installed ones."""

    def __init__(self, folder: Path, programs: Path | None = None) -> None:
        installed = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        path = f"{programs}:{installed}" if programs else installed
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
        with suppress(BrokenPipeError):  # a block has ended it
            self._bash.stdin.write("kill $(jobs -p) 2>/dev/null; wait\n")
            self._bash.stdin.close()
        self._bash.wait(30)
        self._bash.stdout.close()


def follow(shell: Shell, page: str, after: Callable[[str, str], None] = lambda kind, block: None) -> int:
    """Run the page's blocks in order, and compare what it shows. Returns how much was compared. `after` is called after
    each block that is run or compared."""
    answer, compared = "", 0
    for kind, block in BLOCK.findall(page):
        if kind == "sh" and INSTALLS.match(block):
            continue
        if kind == "sh":
            answer = shell.run(block)
        elif kind == "json":
            assert_shows(json.loads(answer.splitlines()[-1]), json.loads(block))
        else:
            assert_text_shows(answer, block.strip(), "output")
        compared += kind != "sh"
        after(kind, block)
    return compared


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def wait_until_visible(url: str) -> None:
    """What a reader does by reading: let the projections come after."""
    token = {"authorization": "Bearer my-token-for-a-try"}
    with httpx.Client(base_url=url, headers=token, verify=False) as api:  # reading certificates costs more than asking

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


class Calls:
    """Every call of `curl` in a shell, with what came back."""

    FUNCTION = """
    curl() {
      local body=$(mktemp -p "$CALLS") code
      command curl -sS -o "$body" -w "$body %{method} %{http_code} %{url_effective}\\n" "$@" >> "$CALLS/list"; code=$?
      cat "$body"; echo
      [ $code = 28 ] || return $code  # the time that a stream was given is over
    }
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder

    def begin(self, shell: Shell) -> None:
        shell.run(f"export CALLS={self._folder}; {self.FUNCTION}")

    def __iter__(self) -> Iterator[tuple[str, int, str, bytes]]:
        """Method, status, path and body."""
        for line in (self._folder / "list").read_text().splitlines():
            body, method, status, url = line.split(maxsplit=3)
            yield method, int(status), urlsplit(url).path, Path(body).read_bytes()


class Contract:
    """/openapi.json of a server."""

    def __init__(self, url: str) -> None:
        self._document = httpx.get(f"{url}/openapi.json").json()

    def operations(self) -> set[tuple[str, str]]:
        return {(method.upper(), path) for path, item in self._document["paths"].items() for method in item}

    def operation(self, method: str, path: str) -> tuple[str, str]:
        """The documented operation that a call was one of: the one whose path says most itself."""
        fitting = [
            template
            for one, template in self.operations()
            if one == method and re.fullmatch(re.sub(r"\\{[^}]*\\}", ".+", re.escape(template)), path)
        ]
        assert fitting, f"{method} {path} is not in the contract"
        return method, max(fitting, key=lambda template: len(re.sub(r"\{[^}]*\}", "", template)))

    def check(self, operation: tuple[str, str], status: int, body: bytes) -> None:
        """The status is documented, and the answer has the documented shape."""
        method, template = operation
        responses = self._document["paths"][template][method.lower()]["responses"]
        response = responses.get(str(status)) or responses[f"{status // 100}XX"]
        for media_type, content in response.get("content", {}).items():
            if media_type.endswith("json"):
                schema = {**content.get("schema", {}), "components": self._document["components"]}
                Draft202012Validator(schema).validate(json.loads(body))


def test_every_operation_of_the_api_is_shown_and_does_what_is_shown(tmp_path: Path, quick_programs: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    page = (ROOT / "docs/api.md").read_text().replace("127.0.0.1:8000", f"127.0.0.1:{port}")
    calls = Calls(tmp_path / "calls")
    with closing(Shell(tmp_path, quick_programs)) as shell:
        shell.run(START.replace("simorgh serve", f"simorgh serve --port {port}"))
        wait_until_visible(url)
        calls.begin(shell)
        follow(shell, page, lambda kind, _: wait_until_visible(url) if kind == "sh" else None)
        contract = Contract(url)
        made = [(contract.operation(method, path), status, body) for method, status, path, body in calls]
        for operation, status, body in made:
            contract.check(operation, status, body)
        assert [operation for operation, status, _ in made if status >= 400] == [("POST", "/v1/segments/preview")]
        of_api = {(method, path) for method, path in contract.operations() if f"### `{method} {path}`" in page}
        assert of_api - {operation for operation, *_ in made} == set()


@pytest.mark.parametrize("page", ["README.md", "docs/quickstart.md", "docs/sending.md", "docs/channels.md"])
def test_a_page_does_what_it_says(page: str, tmp_path: Path, quick_programs: Path) -> None:
    port, receiver = free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    text = (ROOT / page).read_text()
    if "simorgh serve" not in text:
        text = f"```sh\n{START}\n```\n{text}"
    text = text.replace("127.0.0.1:8000", f"127.0.0.1:{port}")
    text = text.replace("simorgh serve", f"simorgh serve --port {port}")
    text = text.replace("127.0.0.1:9000", f"127.0.0.1:{receiver}").replace(", 9000)", f", {receiver})")

    def settle(kind: str, block: str) -> None:
        if kind == "sh" and "kill" not in block:
            wait_until_visible(url)

    with closing(Shell(tmp_path, None if page == "README.md" else quick_programs)) as shell:
        compared = follow(shell, text, settle)
    assert compared == text.count("\n```json\n") + text.count("\n```text\n") > 0
