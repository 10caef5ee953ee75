"""A process that appends is killed at any moment: what it acknowledged is there."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from eventlog.sqlite import SqliteEventLog
from schemas import topics
from tests.contracts.event_log import read_all

KILLS = 8

CHILD = """
import sys, threading
from pathlib import Path
from eventlog.sqlite import SqliteEventLog
from schemas import topics

log = SqliteEventLog(Path(sys.argv[1]))
run = sys.argv[2]

def append(thread):
    number = 0
    while True:
        keys = [f"{run}-{thread}-{number + n}" for n in range(7)]
        number += 7
        messages = [(key.encode(), key.encode() * 40) for key in keys]
        results = log.submit([(topics.EVENTS, messages), (topics.REJECTED, messages[:1])]).result()
        log.commit(f"{run}-{thread}", {topics.REJECTED: {0: number}})
        acks = [f"{key} {p} {o}" for key, (p, o) in zip(keys, results[0])]
        print("\\n".join([*acks, f"commit {run}-{thread} {number}"]), flush=True)

threads = [threading.Thread(target=append, args=(n,)) for n in range(3)]
for thread in threads: thread.start()
"""


def run_and_kill(path: Path, run: int, acks_before_kill: int) -> list[str]:
    """The acknowledgements that the child told before it was killed, in whole lines."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path), str(run)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    with child.stdout as pipe:
        lines = [pipe.readline() for _ in range(acks_before_kill)]
        os.kill(child.pid, signal.SIGKILL)
        lines += pipe.readlines()
    child.wait(60)
    return [line.decode().strip() for line in lines if line.endswith(b"\n")]


def test_every_acknowledged_record_outlives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    moments = random.Random(20)
    acked: dict[str, tuple[int, int]] = {}
    committed: dict[str, int] = {}
    for run in range(KILLS):
        for line in run_and_kill(path, run, moments.randrange(1, 400)):
            match line.split():
                case ["commit", group, number]:
                    committed[group] = int(number)
                case [key, partition, offset]:
                    acked[key] = (int(partition), int(offset))
    log = SqliteEventLog(path)  # the killed process left no lock
    partitions = read_all(log, topics.EVENTS)
    for home, records in enumerate(partitions):
        assert [(r.partition, r.offset) for r in records] == [(home, n) for n in range(len(records))]
    assert len(acked) > KILLS
    assert all(partitions[p][o].key.decode() == key for key, (p, o) in acked.items())
    assert all(r.value == r.key * 40 for records in partitions for r in records)
    assert sum(map(len, partitions)) == 7 * log.ends(topics.REJECTED)[0]  # each submit whole, in both topics
    assert all(log.committed(group, topics.REJECTED)[0] >= number for group, number in committed.items())
    log.close()
