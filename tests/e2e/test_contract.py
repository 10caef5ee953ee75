"""The contract at /openapi.json, held against a real server by Schemathesis with all of its checks.

What is asked is the same in every run: examples, and the limits of every parameter. `schemathesis.toml` says what a
schema cannot. `make soak` asks for what a seed makes of the schemas, too, and for what follows from answers.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import TOKEN, WRITE_KEY, Server, running

CONFIG = Path(__file__).with_name("schemathesis.toml")
OF_COLLECTOR = ("--include-tag", "collector", "--auth", f"{WRITE_KEY}:")
OF_API = ("--exclude-tag", "collector", "--header", f"Authorization: Bearer {TOKEN}")

PATIENT = {"SIMORGH_FAILURES_PER_MINUTE": "1000000"}
"""It shows hundreds of wrong tokens, and wants 401 for each."""


def hold(server: Server, folder: Path, which: tuple[str, ...], examples: int, phases: str) -> None:
    program = str(Path(sys.executable).parent / "schemathesis")
    asked = ("--phases", phases, "--max-examples", str(examples), "--seed", "1", "--suppress-health-check", "all")
    endless = ("--exclude-path-regex", "/stream$", "--request-timeout", "60")  # a busy machine breaks no contract
    told = ("--no-color", "--warnings", "off")
    contract = f"{server.url}/openapi.json"
    command = [
        program,
        "--config-file",
        str(CONFIG),
        "run",
        contract,
        *which,
        "--checks",
        "all",
        *asked,
        *endless,
        *told,
        "--request-timeout",  # two other workers share the cores; how fast answers are is measured elsewhere
        "60",
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With whom the examples ask for."""
    with running(tmp_path_factory.mktemp("contract") / "data", **PATIENT) as (server, client):
        client.send({"type": "identify", "userId": "u42", "traits": {"email": "sara@example.com"}, "messageId": "m-1"})
        client.settled()
        yield server


@pytest.mark.timeout(900)  # half a minute on an idle machine
@pytest.mark.parametrize("which", [OF_API, OF_COLLECTOR], ids=["api", "collector"])
def test_the_contract_holds(server: Server, which: tuple[str, ...], tmp_path: Path) -> None:
    hold(server, tmp_path, which, 1, "examples,coverage")


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("which", [OF_API, OF_COLLECTOR], ids=["api", "collector"])
def test_the_contract_holds_for_long(server: Server, which: tuple[str, ...], tmp_path: Path) -> None:
    hold(server, tmp_path, which, 200, "examples,coverage,fuzzing,stateful")
