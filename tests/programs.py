"""The program `simorgh` as a process, quicker than by itself: forked from one that has imported all of it.

Importing costs a process two seconds of CPU, and a run of the tests starts hundreds. Here one process imports once
and forks for each start. What it makes is like what `python -m simorgh` makes: a child of the tests, with arguments,
environment, folder and streams of its own, that runs the module as `__main__` and ends as it does. The embedded engine
is not imported before: it starts threads, and these do not live on in a fork.

On Linux only; elsewhere, and where the environment says something to the interpreter itself, Python is started.
"""

import ctypes
import faulthandler
import gc
import importlib
import io
import json
import os
import resource
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

_IMPORTED: Final = ("simorgh.cli", "simorgh.serve", "simorgh.api", "simorgh.collect", "simorgh.work")
_OF_INTERPRETER: Final = ("PYTHON", "LC_", "LANG")
_CARRIED_OUT: Final = ("PYTHONFAULTHANDLER", "PYTHONPATH")
"""Variables for the interpreter that a fork can follow, or need not."""

_PR_SET_CHILD_SUBREAPER: Final = 36
_ROOT: Final = Path(__file__).parents[1]
_LARGEST: Final = 1 << 17
"""Bytes of a request."""


class Program(subprocess.Popen[str]):
    """`python -m simorgh` with these words; else as `Popen`. `descriptors`: as `ulimit -n` would say."""

    def __init__(
        self,
        *words: str | Path,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
        stdin: Any = None,
        stdout: Any = None,
        stderr: Any = None,
        descriptors: int | None = None,
    ) -> None:
        self._descriptors = descriptors
        command = [sys.executable, "-m", "simorgh", *map(str, words)]
        self._forks = sys.platform == "linux" and _says_nothing_new(env or {})
        if descriptors and not self._forks:
            command = ["sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh", *command]
        super().__init__(command, env=env, cwd=cwd, stdin=stdin, stdout=stdout, stderr=stderr, text=True)

    def _execute_child(self, args: Any, *given: Any) -> None:  # the one step of Popen that starts something
        if not self._forks:
            super()._execute_child(args, *given)  # type: ignore[misc]
            return
        cwd, env, pipes = given[4], given[5], given[9:15]
        start = Start(
            args[3:], dict(env or os.environ), os.path.abspath(cwd) if cwd else os.getcwd(), self._descriptors or 0
        )
        own = [pipes[0], pipes[3], pipes[5]]  # the program's ends; -1: ours
        self.pid = forker().start(start, [fd if fd != -1 else number for number, fd in enumerate(own)])
        self._child_created = True
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]


def run(*words: str | Path, timeout: float = 180, **more: Any) -> subprocess.CompletedProcess[str]:
    """To its end, with what it printed, which goes to pipes unless `more` says where."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    with Program(*words, **streams) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def _says_nothing_new(env: dict[str, str]) -> bool:
    return all(
        os.environ.get(name) == value
        for name, value in env.items()
        if name.startswith(_OF_INTERPRETER) and name not in _CARRIED_OUT
    )


@dataclass(frozen=True)
class Start:
    words: list[str]
    environment: dict[str, str]
    folder: str
    descriptors: int


class _Forker:
    """The process that forks, as its users see it."""

    def __init__(self) -> None:
        # What it forks is orphaned at once, and then ours: waited for, and signalled, as any child.
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "tests.programs", str(theirs.fileno())]
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # no threads, as above
        self._process = subprocess.Popen(command, cwd=_ROOT, env=environment, pass_fds=[theirs.fileno()])
        theirs.close()
        self._lock = threading.Lock()

    def start(self, start: Start, streams: list[int]) -> int:
        """The new process's id."""
        with self._lock:
            socket.send_fds(self._socket, [json.dumps(asdict(start)).encode()], streams)
            answer = self._socket.recv(32)
        assert answer, "the process that forks has ended"
        return int(answer)


_started: list[_Forker] = []
_starting = threading.Lock()


def forker() -> _Forker:
    """One for this process; it ends when this one does."""
    with _starting:
        if not _started:
            _started.append(_Forker())
        return _started[0]


# ---- the process that forks


def main() -> None:
    for name in _IMPORTED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=int(sys.argv[1])) as asked, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python's, of forks beside a thread: Arrow's allocator has one
        wanted = _listen(asked)
    if wanted:
        _become(*wanted)


def _listen(asked: socket.socket) -> tuple[Start, list[int]] | None:
    """Fork whenever asked; None at the end, and what was asked for in each fork."""
    while True:
        packet, streams, _, _ = socket.recv_fds(asked, _LARGEST, 3)
        if not packet:
            return None
        reader, writer = os.pipe()
        between = os.fork()
        if between == 0:
            child = os.fork()
            if child == 0:
                asked.detach()
                return Start(**json.loads(packet)), streams
            os.write(writer, str(child).encode())
            os._exit(0)
        os.waitpid(between, 0)  # only then is the child its grandparent's
        asked.send(os.read(reader, 32))
        for fd in (reader, writer, *streams):
            os.close(fd)


def _become(start: Start, streams: list[int]) -> None:
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.closerange(3, 256)
    os.environ.clear()
    os.environ.update(start.environment)
    time.tzset()
    os.chdir(start.folder)
    if start.descriptors:
        resource.setrlimit(resource.RLIMIT_NOFILE, (start.descriptors, start.descriptors))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    unbuffered = "PYTHONUNBUFFERED" in os.environ
    sys.stdin = sys.__stdin__ = os.fdopen(0, encoding="utf-8", closefd=False)  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = _stream(1, "strict", unbuffered, unbuffered or os.isatty(1))  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _stream(2, "backslashreplace", unbuffered, True)  # type: ignore[misc]
    if "PYTHONFAULTHANDLER" in os.environ:
        faulthandler.enable()
    sys.argv = ["simorgh", *start.words]
    runpy.run_module("simorgh", run_name="__main__", alter_sys=True)


def _stream(fd: int, errors: str, unbuffered: bool, lines: bool) -> io.TextIOWrapper:
    raw = os.fdopen(fd, "wb", buffering=0 if unbuffered else -1, closefd=False)
    return io.TextIOWrapper(raw, "utf-8", errors, write_through=unbuffered, line_buffering=lines)


if __name__ == "__main__":
    main()
