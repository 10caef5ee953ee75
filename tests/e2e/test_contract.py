"""The contract at /openapi.json, held against a real server by Schemathesis with all of its checks.

What is asked is the same in every run: examples, limits of every parameter, and what a seed makes of the schemas.
`schemathesis.toml` says what a schema cannot. `make soak` asks for longer.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.harness import TOKEN, WRITE_KEY, Client, Server, running

CONFIG = Path(__file__).with_name("schemathesis.toml")
OF_COLLECTOR = ("--include-tag", "collector", "--auth", f"{WRITE_KEY}:")
OF_API = ("--exclude-tag", "collector", "--header", f"Authorization: Bearer {TOKEN}")

PATIENT = {"SIMORGH_FAILURES_PER_MINUTE": "1000000"}
"""It shows hundreds of wrong tokens, and wants 401 for each."""


def hold(server: Server, folder: Path, which: tuple[str, ...], examples: int) -> None:
    program = str(Path(sys.executable).parent / "schemathesis")
    checks = ("--checks", "all", "--max-examples", str(examples), "--seed", "1", "--suppress-health-check", "all")
    endless = ("--exclude-path-regex", "/stream$")
    told = ("--no-color", "--warnings", "off")
    contract = f"{server.url}/openapi.json"
    command = [program, "--config-file", str(CONFIG), "run", contract, *which, *checks, *endless, *told]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def somebody(client: Client) -> None:
    """Whom the examples ask for."""
    client.send({"type": "identify", "userId": "u42", "traits": {"email": "sara@example.com"}, "messageId": "m-1"})
    client.settled()


@pytest.mark.timeout(900)  # a minute on an idle machine
@pytest.mark.parametrize("which", [OF_API, OF_COLLECTOR], ids=["api", "collector"])
def test_the_contract_holds(which: tuple[str, ...], tmp_path: Path) -> None:
    with running(tmp_path / "data", **PATIENT) as (server, client):
        somebody(client)
        hold(server, tmp_path, which, 3)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("which", [OF_API, OF_COLLECTOR], ids=["api", "collector"])
def test_the_contract_holds_for_long(which: tuple[str, ...], tmp_path: Path) -> None:
    with running(tmp_path / "data", **PATIENT) as (server, client):
        somebody(client)
        hold(server, tmp_path, which, 200)
