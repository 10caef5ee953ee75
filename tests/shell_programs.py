"""The program `simorgh` for shells, forked as in `tests.programs`: importing it for each call of a page would take most
of the page's time.

A shell starts a small program of this name, which hands over its words, environment, folder and streams, passes signals
on, and ends as the forked program does.
"""

import json
import os
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.programs import Start, forker

_LARGEST: Final = 1 << 17
"""Bytes of a request."""

_SMALL: Final = """#!{python} -ISE
import json, os, signal, socket, sys
asked = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
asked.connect({address!r})
socket.send_fds(asked, [json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]).encode()], [0, 1, 2])
pid = int(asked.recv(32))
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, _: os.kill(pid, number))
os._exit(int(asked.recv(32) or 1))
"""


@contextmanager
def quick_simorgh() -> Iterator[Path]:
    """A folder for the front of PATH. Elsewhere than on Linux it has the installed program."""
    if sys.platform != "linux":
        yield Path(sys.executable).parent
        return
    with (
        tempfile.TemporaryDirectory() as made,  # short: the address of a socket has at most 107 bytes
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening,
    ):
        folder = Path(made)
        listening.bind(address := str(folder / "asked"))
        listening.listen()
        small = folder / "simorgh"
        small.write_text(_SMALL.format(python=sys.executable, address=address))
        small.chmod(0o755)
        threading.Thread(target=_listen, args=(listening,), daemon=True).start()
        try:
            yield folder
        finally:
            listening.shutdown(socket.SHUT_RDWR)


def _listen(listening: socket.socket) -> None:
    while True:
        try:
            asked, _ = listening.accept()
        except OSError:  # it is over
            return
        threading.Thread(target=_run, args=(asked,), daemon=True).start()


def _run(asked: socket.socket) -> None:
    with asked:
        packet, streams, _, _ = socket.recv_fds(asked, _LARGEST, 3)
        words, environment, at = json.loads(packet)
        pid = forker().start(Start(words, environment, at, 0), streams)
        for fd in streams:
            os.close(fd)
        asked.send(str(pid).encode())
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        asked.send(str(code if code >= 0 else 128 - code).encode())
