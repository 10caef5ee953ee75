"""`simorgh demo`: starts a server on a new folder, plays the story over HTTP, then keeps serving."""

import os
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from schemas.errors import Broken, Conflict
from simorgh.demo.keeping import Stay, keep_or_remove
from simorgh.demo.story import run_demo as tell
from simorgh.logs import OneBox
from simorgh.settings import load_settings

_STOP_SECONDS = 20.0


def run_demo(data: Path | None, port: int, *, serve: bool, console: Console, keep: bool | None = None) -> None:
    """Play the story on `data` (default: a new temporary folder), then serve if `serve` is true.

    The server is a separate process, so that the figures are those of a client and a server. `keep` says whether to
    keep the data at the end; for None see `keep_or_remove`. The data of a failed demo is removed. Raises `Conflict` if
    `data` is not empty: the demo never overwrites.
    """
    OneBox(load_settings(), "demo")
    folder = _fresh(data)
    stay = Stay(folder, secrets.token_hex(12), secrets.token_hex(16), port, _program())

    def say(line: str) -> None:
        # unchanged: a wrapped or coloured line cannot be pasted
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    say(f"The demo takes a minute or two and about 250 MB in {folder}.")
    told = False
    server = _start(folder, port if serve else 0, stay.write_key, stay.token)
    try:
        with _terminated_as_interrupted():
            url = _address(server)
            tell(url, stay.write_key, stay.token, console, shown_url=f"http://127.0.0.1:{port}" if port else url)
            told = True
            if serve:
                stay.say_how_to_come_back(say, url)
                server.wait()
    except KeyboardInterrupt:
        pass
    finally:
        _stop(server)
        if not told and data is None:
            stay.remove(say)
    if told:
        keep_or_remove(stay, wish=keep, ours=data is None, say=say)


def _program() -> str:
    """How to call this program from any folder: by name if the shell finds it, else with the interpreter's path."""
    if shutil.which("simorgh"):
        return "simorgh"
    return f"{shlex.quote(sys.executable)} -m simorgh"


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """A SIGTERM must also end the server, which is a separate process."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _fresh(data: Path | None) -> Path:
    if data is None:
        return Path(tempfile.mkdtemp(prefix="simorgh-demo-"))
    if data.exists() and any(data.iterdir()):
        raise Conflict(f"{data}: wanted an empty folder, got one with files; name another")
    return data


def _start(folder: Path, port: int, write_key: str, token: str) -> "subprocess.Popen[str]":
    """The demo ignores the environment's settings, so that it never touches the user's log or ClickHouse."""
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
    raise Broken("demo: wanted a running server, got the error above; fix it, or name another --port")


def _stop(server: "subprocess.Popen[str]") -> None:
    if server.poll() is None:
        server.send_signal(signal.SIGTERM)
    try:
        server.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
