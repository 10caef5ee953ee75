"""An operator's day: stopping and starting, soon and often, under load, leaves no error behind."""

import random
import signal
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.harness import Client, Server
from tests.e2e.operator_day import lines_of, sending

LOUD = ("ERROR", "Traceback", "CRITICAL")


def stop_and_start(tmp_path: Path, times: int, seed: int) -> None:
    """Each life ends within two seconds of its start, at any moment of it."""
    chance = random.Random(seed)
    with Server(tmp_path / "data").start() as server:
        with sending(server, pause=0.02) as senders:
            for _ in range(times):
                assert server.process is not None
                with pytest.raises(subprocess.TimeoutExpired):  # it must not end by itself
                    server.process.wait(chance.uniform(0.0, 2.0))
                server.process.send_signal(chance.choice((signal.SIGTERM, signal.SIGINT)))
                assert server.stop() == 0
                server.start()
        with closing(Client(server)) as client:
            assert client.settled()["events"]["unique"] >= sum(one.acknowledged for one in senders)
        assert server.stop() == 0
    loud = [line for line in lines_of(server.data) if any(word in line for word in LOUD)]
    assert not loud, "\n".join(loud[:20])


def test_twice(tmp_path: Path) -> None:
    stop_and_start(tmp_path, 2, 1)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
def test_fifty_times(tmp_path: Path) -> None:
    stop_and_start(tmp_path, 50, 2)
