"""How long it takes until nobody can read anything of people who are forgotten: of one, and of 1,000 at once.

`python -m benchmarks.erasure [PEOPLE]` fills a box with people who have five events each, and prints a table.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import orjson

from benchmarks import report
from benchmarks.world import SECRET, fill_log
from eventlog.sqlite import SqliteEventLog
from identity.nodes import to_hex
from privacy.keyring import Keyring
from privacy.log import SealedLog
from privacy.sqlite import SqliteKeys
from registry.registry import Registry
from schemas import topics
from schemas.clock import iso, system_clock
from simorgh.interpreter import tune_interpreter
from stream_processors.host.runner import Runner
from warehouse.client import Warehouse

PEOPLE: Final = 200_000
EVENTS_EACH: Final = 5
REJECTED: Final = 20_000
RULES: Final = 3
AT_ONCE: Final = (1, 1_000)
GOALS: Final = (10, 120)
"""Seconds, among a million people."""


def main(people: int = PEOPLE) -> None:
    """Measure and print."""
    tune_interpreter()
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # the engine goes on tidying up
        root = Path(folder)
        keyring = Keyring(SqliteKeys(root / "keys.sqlite"), SECRET)
        began = time.perf_counter()
        fill_log(root / "log.sqlite", people * EVENTS_EACH, RULES, people, keyring)
        plain = SqliteEventLog(root / "log.sqlite")
        log = SealedLog(plain, keyring)
        _reject(log, REJECTED)
        warehouse = Warehouse(f"chdb://{root / 'warehouse'}")
        warehouse.migrate(1)
        runner = Runner(log, warehouse, 1, system_clock, keyring=keyring)
        runner.recover()
        runner.drain()
        profiles = [one for (one,) in warehouse.writer(1).rows("SELECT profile FROM profile_rows FINAL WHERE live")]
        filled = time.perf_counter() - began
        registry, rows, start = Registry(plain, system_clock), list[tuple[object, ...]](), 0
        for number, goal in zip(AT_ONCE, GOALS, strict=True):
            rows.append((number, _seconds(runner, registry, profiles[start : start + number]), float(goal)))
            start += number
        runner.stop()
        warehouse.close()
        log.close()
    note = f"{len(profiles):,} profiles, {REJECTED:,} rejected events, made in {filled:.0f} s; {report.machine()}"
    report.show("Erasure, until it is unreadable", ("people at once", "seconds", "wanted"), rows, note)


def _reject(log: SealedLog, number: int) -> None:
    at = iso(system_clock())
    for start in range(0, number, 1_000):
        some = []
        for n in range(start, start + 1_000):
            payload = orjson.dumps({"userId": f"someone-{n}", "traits": {"email": f"s{n}@example.com"}, "type": "odd"})
            said = {"id": f"r{n}", "code": "odd", "reason": "odd", "source": "web", "channel": "web",
                    "received_at": at, "place": 0, "payload": payload.decode(), "digest": n}  # fmt: skip
            some.append((f"r{n}".encode(), orjson.dumps(said)))
        log.append(topics.REJECTED, some)


def _seconds(runner: Runner, registry: Registry, profiles: Sequence[int]) -> float:
    bodies = {f"r{len(profiles)}-{n}": {"profile": to_hex(one), "reason": "asked"} for n, one in enumerate(profiles)}
    began = time.perf_counter()
    registry.declare_all("erase", bodies, "benchmark")
    while any(registry.erasures.requests[id].state == "requested" for id in bodies):
        runner.step()
        registry.refresh()
    return time.perf_counter() - began


if __name__ == "__main__":
    main(*(int(one) for one in sys.argv[1:2]))
