"""docs/operations.md: every command that it prints works, in the order of the page."""

import os
import re
import subprocess
from pathlib import Path

from tests.e2e.command_line import ENVIRONMENT, simorgh
from tests.e2e.harness import running

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OTHER_TOOLS = ("helm ",)


def test_every_command_works(tmp_path: Path, quick_programs: Path) -> None:
    path = f"{quick_programs}:{os.environ['PATH']}"
    data = tmp_path / "data"
    blocks = [block for block in BLOCK.findall(PAGE.read_text()) if not block.startswith(OTHER_TOOLS)]
    assert len(blocks) >= 7
    with running(data) as (server, client):
        simorgh("sources", "create", "till", "--data", data).answer()
        client.send({"type": "page", "userId": "u1", "messageId": "m1"}, {"type": "track", "userId": "u1"})
        client.settled()
        [old] = client.get("/v1/sources/till")["keys"]
        page = "\n".join(blocks).replace("/backups", f"{tmp_path}/backups").replace("/srv", f"{tmp_path}/srv")
        script = f"set -euo pipefail\n{page}"
        done = subprocess.run(
            ["bash", "-c", script.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")],
            env={**os.environ, **ENVIRONMENT, "PATH": path, "SIMORGH_DATA": str(data), "OLD_KEY": old["id"]},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert (tmp_path / "srv" / "simorgh" / "log.sqlite").exists()
