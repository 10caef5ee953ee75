"""`simorgh demo`: a server of its own on a fresh folder, the story told to it over HTTP, then serving."""

import os
import secrets
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from schemas.errors import Broken, Conflict
from simorgh.demo.story import run_demo as tell
from simorgh.logs import OneBox
from simorgh.settings import load_settings

_STOP_SECONDS = 20.0


def run_demo(data: Path | None, port: int, *, serve: bool, console: Console) -> None:
    """Tell the story on `data` (default: a new temporary folder), and keep serving unless told not to.

    The server is a process of its own, so that the figures are those of a client beside a server. Raises `Conflict`
    where `data` holds something already: the demo never overwrites.
    """
    OneBox(load_settings(), "demo")
    folder = _fresh(data)
    write_key, token = secrets.token_hex(12), secrets.token_hex(16)
    server = _start(folder, port if serve else 0, write_key, token)
    try:
        url = _address(server)
        tell(url, write_key, token, console, shown_url=f"http://127.0.0.1:{port}" if port else url)
        if serve:
            console.print(f"\nServing on {url} from {folder}. Stop with Ctrl-C.", highlight=False, soft_wrap=True)
            server.wait()
        else:
            console.print(
                f"\nThe server of the demo has ended. To go on with its data:\nSIMORGH_WRITE_KEY='{write_key}' "
                f"SIMORGH_API_TOKEN='{token}' {sys.executable} -m simorgh serve --data {folder} --port {port}",
                highlight=False,
                soft_wrap=True,
            )
    except KeyboardInterrupt:
        pass
    finally:
        _stop(server)


def _fresh(data: Path | None) -> Path:
    if data is None:
        return Path(tempfile.mkdtemp(prefix="simorgh-demo-"))
    if data.exists() and any(data.iterdir()):
        raise Conflict(f"{data}: an empty folder was wanted, this one holds something; name another")
    return data


def _start(folder: Path, port: int, write_key: str, token: str) -> "subprocess.Popen[str]":
    """What the environment sets is for other folders: the demo touches no log and no ClickHouse of anybody's."""
    mine = {name: value for name, value in os.environ.items() if not name.upper().startswith("SIMORGH_")}
    keys = {"SIMORGH_WRITE_KEY": write_key, "SIMORGH_API_TOKEN": token, "SIMORGH_LOG_LEVEL": "WARNING"}
    command = [sys.executable, "-m", "simorgh", "serve", "--data", str(folder), "--port", str(port)]
    return subprocess.Popen(command, env={**mine, **keys}, stdout=subprocess.PIPE, text=True, start_new_session=True)


def _address(server: "subprocess.Popen[str]") -> str:
    """The URL, from the server's first line."""
    assert server.stdout is not None
    for word in server.stdout.readline().split():
        if word.startswith("http://"):
            return word.rstrip("/")
    raise Broken("demo: its server did not start; is the port free?")


def _stop(server: "subprocess.Popen[str]") -> None:
    if server.poll() is None:
        server.send_signal(signal.SIGTERM)
    try:
        server.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
