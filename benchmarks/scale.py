"""1 M events and 100 k: cost per event, bytes on disk per event, memory. Each size runs in a process of its own.

Accumulated data must not make the next event more expensive, so the whole of a stream is compared with its first tenth,
of the same people. A third run has the same 100 k events from a tenth of the people: its batches touch fewer profiles,
and each touched profile has a cost, however many of its events are in the batch.
"""

import gc
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks import report
from benchmarks.world import declare, fill_log, pour
from eventlog.sqlite import SqliteEventLog
from schemas.clock import system_clock
from simorgh.interpreter import tune_interpreter
from stream_processors.host.runner import Runner
from warehouse.client import Warehouse

SIZES, RULES = ((100_000, 2_500), (100_000, 25_000), (1_000_000, 25_000)), 20
"""Events and people."""
_BYTES = """SELECT table, column, sum(column_data_compressed_bytes) FROM system.parts_columns
    WHERE active AND database = currentDatabase() GROUP BY table, column"""
PAYLOADS = frozenset({("events", "payload")})
ROWS_AND_IDS = frozenset({"log_rows", "ids", "events"})


def main() -> None:
    rows = []
    for events, people in SIZES:
        command = [sys.executable, "-m", "benchmarks.scale", str(events), str(people)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        figures = (found[name] for name in ("us", "cpu_us", "row_bytes", "payload_bytes", "rss_mb"))
        rows.append((f"{events:,}", f"{people:,}", *figures))
    columns = ("events", "people", "µs/event", "CPU µs/event", "row and id bytes/event", "payload bytes/event", "MB")
    tenths = ", ".join(f"{us:.0f}" for us in found["tenths"])
    few, start, whole = (row[3] for row in rows)
    note = f"by tenth of 1 M, CPU µs/event: {tenths}; {RULES} segments; {report.machine()}"
    ratios = f"{whole / start:.2f} of what their first 100 k cost, {whole / few:.2f} of 100 k of a tenth of the people"
    report.show("Scale", columns, rows, f"1 M events cost, by CPU, {ratios}; {note}")


def one_size(events: int, people: int) -> dict[str, Any]:
    """Run one size in this process."""
    tune_interpreter()
    with TemporaryDirectory() as folder:
        root = Path(folder)
        fill_log(root / "log.sqlite", events, RULES, people)
        log = SqliteEventLog(root / "round.sqlite")
        declare(log, RULES)
        warehouse = Warehouse(f"chdb://{root / 'warehouse'}")
        warehouse.migrate(1)
        runner = Runner(log, warehouse, 1, system_clock)
        runner.recover()
        runner.declarations.step()
        pour(root / "log.sqlite", log)
        gc.collect()
        wall, cpu = time.perf_counter(), time.process_time()
        spent = [(0, cpu)]
        while records := runner.next_records():
            runner.box.process(records)
            spent.append((sum(runner.box.positions.values()), time.process_time()))
        runner.box.commit()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        writer = warehouse.writer(1)
        for table in sorted(ROWS_AND_IDS):
            writer.command(f"OPTIMIZE TABLE {table} FINAL")
        sizes = {(table, column): size for table, column, size in writer.rows(_BYTES)}
        runner.stop()
        log.close()
        payload = sum(size for key, size in sizes.items() if key in PAYLOADS)
        lean = sum(size for key, size in sizes.items() if key[0] in ROWS_AND_IDS and key not in PAYLOADS)
        return {
            "tenths": _by_tenth(spent, events),
            "us": wall / events * 1e6,
            "cpu_us": cpu / events * 1e6,
            "row_bytes": lean / events,
            "payload_bytes": payload / events,
            "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }


def _by_tenth(spent: list[tuple[int, float]], events: int) -> list[float]:
    """CPU µs per event in each tenth of a run, from how much was spent when so many events were done: batches do not
    end where tenths do, so what lies between two measurements is taken as even."""
    done, cpu = zip(*spent, strict=True)
    at_ends = np.interp(np.linspace(0, events, 11), done, cpu)
    return [float(us) for us in np.diff(at_ends) / (events / 10) * 1e6]


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(one_size(*map(int, sys.argv[1:]))))
    else:
        main()
