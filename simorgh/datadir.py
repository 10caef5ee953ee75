"""The data folder of one box: what is in it, who may use it, and who is using it now.

DIR/log.sqlite    the log (truth)
DIR/keys.json     the workspace's secret, mode 0600 (back it up with the log: together they rebuild everything)
DIR/warehouse/    the embedded ClickHouse (rebuilt by `simorgh replay`)
DIR/server.json   address and local token of the server that has the folder open, mode 0600
"""

import json
import os
import secrets
from pathlib import Path

from pydantic import BaseModel, ValidationError

from schemas.errors import Conflict


class ServerInfo(BaseModel):
    """How to reach the process that has the folder open."""

    url: str
    pid: int
    token: str


class DataDir:
    def __init__(self, root: Path) -> None:
        self.root = root

    def create(self) -> "DataDir":
        self.root.mkdir(parents=True, exist_ok=True)
        return self

    def secret(self) -> bytes:
        """The workspace's secret; made on first use. It keys every node, so it never changes."""
        path = self.root / "keys.json"
        if not path.exists():
            write_private(path, {"node_secret": secrets.token_hex(32)})
        return bytes.fromhex(json.loads(path.read_text())["node_secret"])

    # ---- the running server

    def announce(self, url: str, token: str) -> None:
        write_private(self._server, {"url": url, "pid": os.getpid(), "token": token})

    def withdraw(self) -> None:
        self._server.unlink(missing_ok=True)

    def server(self) -> ServerInfo | None:
        """The process that has the folder open, if it is alive."""
        try:
            info = ServerInfo.model_validate_json(self._server.read_text())
            os.kill(info.pid, 0)
        except (FileNotFoundError, ProcessLookupError, ValidationError):
            return None
        except PermissionError:
            pass  # alive, and somebody else's
        return info

    def require_free(self) -> None:
        info = self.server()
        if info and info.pid != os.getpid():
            raise Conflict(f"{self.root}: in use by process {info.pid} at {info.url}; stop it first")

    @property
    def _server(self) -> Path:
        return self.root / "server.json"


def write_private(path: Path, body: dict[str, object]) -> None:
    """Write JSON that only the owner may read, whole or not at all, and wait until it is on disk."""
    draft = path.with_suffix(".new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump(body, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)
