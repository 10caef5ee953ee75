"""One Kafka broker on loopback, for tests and benchmarks: `python -m deploy.kafka.broker` runs one until Ctrl-C.

Broker and controller in one process (KRaft), 512 MB of heap at most. Not for production: one copy of everything.
"""

import argparse
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from deploy.kafka.fetch import Unavailable, jars

CLUSTER_ID: Final = "c2ltb3JnaC10ZXN0cy0wMA"
"""22 characters: 16 bytes in URL-safe base64. One cluster a folder, so all may bear the same."""

STARTED: Final = b"Kafka Server started"
LONGEST_START: Final = 240.0
"""Seconds. Mostly 3 to 8; one of three, killed under load on two busy cores, took more than 90."""
LONGEST_STOP: Final = 30.0

PROPERTIES: Final = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={folder}/data
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
# Positions of a group without members are forgotten after a week otherwise.
offsets.retention.minutes=2147483647
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
# A killed broker is let in again when its last session has ended: 9 s by default.
broker.session.timeout.ms=1500
broker.heartbeat.interval.ms=300
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=8388608
log.cleaner.backoff.ms=500
"""


class Broker:
    """A broker whose data lives in `folder`. Its ports stay the same over restarts.

    `start` blocks until it answers; after `stop` or `kill` it may be started again on the same data. The log
    is `folder/broker.log`. To be used by one thread.
    """

    def __init__(
        self,
        folder: Path,
        *,
        ports: Sequence[int] = (),
        more: str = "",
        formatting: Sequence[str] = (),
        java: Sequence[str] = (),
    ) -> None:
        """`ports`: its own and its controller's, else such as are free. `more`: properties that are added to
        `PROPERTIES`, or take their place. `formatting`: options of Kafka's storage tool. `java`: options of Java."""
        self.folder = folder
        self.log = folder / "broker.log"
        self.port, controller = ports or free_ports(2)
        self._process: subprocess.Popen[bytes] | None = None
        self._properties = folder / "server.properties"
        self._formatting = formatting
        self._java = java
        folder.mkdir(parents=True, exist_ok=True)
        self._properties.write_text(PROPERTIES.format(port=self.port, controller=controller, folder=folder) + more)

    @property
    def bootstrap(self) -> str:
        """`host:port` for clients."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> "Broker":
        """Raises `Unavailable` where Java or the jars cannot be had, `RuntimeError` when it does not come up."""
        java = _java(self._java)
        if not (self.folder / "data" / "meta.properties").exists():
            tool = [*java, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(self._properties)]
            self._run([*tool, *self._formatting])
        seen = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*java, "kafka.Kafka", str(self._properties)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in a terminal goes to the tests, and these stop the broker
            )
        self._wait_started(seen)
        return self

    def stop(self) -> None:
        """In order: what is in memory is written first. Nothing happens when it does not run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """`kill -9`."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Stop the process where it stands: connections stay, nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(LONGEST_STOP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_START, check=False)
        if done.returncode:
            raise RuntimeError(f"Kafka: formatting {self.folder} failed: {(done.stderr or done.stdout)[-500:]}")

    def _wait_started(self, seen: int) -> None:
        """Until the log says so beyond its first `seen` bytes."""
        assert self._process is not None
        deadline = time.monotonic() + LONGEST_START
        while time.monotonic() < deadline:
            with self.log.open("rb") as log:
                log.seek(seen)
                if STARTED in log.read():
                    return
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        self.kill()
        raise RuntimeError(f"Kafka did not start; the end of {self.log}: {self.log.read_text()[-1000:]}")


def _java(more: Sequence[str]) -> list[str]:
    java = shutil.which("java")
    if java is None:
        raise Unavailable("Kafka: wanted Java 17 or newer to run it, there is none; install a JRE")
    small = ["-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.showDateTime=true"]
    return [java, *small, *more, "-cp", f"{jars()}/*"]


def free_ports(count: int) -> list[int]:
    """Ports of loopback that were free a moment ago, all different."""
    holders = [socket.socket() for _ in range(count)]
    try:
        for holder in holders:
            holder.bind(("127.0.0.1", 0))
        return [holder.getsockname()[1] for holder in holders]
    finally:
        for holder in holders:
            holder.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="One Kafka broker on loopback, until Ctrl-C.")
    parser.add_argument("--port", type=int, help="default: one that is free")
    parser.add_argument(
        "--data", type=Path, help="a folder to keep its data in; default: one that is removed at the end"
    )
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kafka-") as scratch:
        serve(asked.data or Path(scratch), asked.port, kept=asked.data is not None)


def serve(folder: Path, port: int | None, *, kept: bool) -> None:
    broker = Broker(folder.absolute(), ports=(port, *free_ports(1)) if port else ())
    try:
        broker.start()
    except (Unavailable, RuntimeError) as reason:
        sys.exit(str(reason))
    print(f"kafka://{broker.bootstrap}   (Ctrl-C ends it{'' if kept else ' and removes its data'})", flush=True)
    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # only now: the broker would inherit it
    try:
        signal.sigwait(ends)
    finally:
        broker.stop()


if __name__ == "__main__":
    main()
