"""1 M events beside 100 k: cost per event, bytes on disk per event, memory. Each size in a process of its own."""

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
from simorgh.serve import tune_interpreter
from stream_processors.runner import Runner
from warehouse.client import Warehouse

SIZES, RULES = (100_000, 1_000_000), 20
_BYTES = """SELECT table, column, sum(column_data_compressed_bytes) FROM system.parts_columns
    WHERE active AND database = currentDatabase() GROUP BY table, column"""
PAYLOADS = frozenset({("events", "payload")})
ROWS_AND_IDS = frozenset({"log_rows", "ids", "events"})


def main() -> None:
    rows = []
    for size in SIZES:
        command = [sys.executable, "-m", "benchmarks.scale", str(size)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        rows.append(
            (f"{size:,}", found["us"], found["cpu_us"], found["row_bytes"], found["payload_bytes"], found["rss_mb"])
        )
    columns = ("events", "µs/event", "CPU µs/event", "row and id bytes/event", "payload bytes/event", "peak MB")
    tenths = ", ".join(f"{us:.0f}" for us in found["tenths"])
    note = f"by tenth of 1 M, CPU µs/event: {tenths}; {RULES} segments, 40 events a person; {report.machine()}"
    report.show("Scale", columns, rows, f"cost at 1 M over cost at 100 k: {rows[1][2] / rows[0][2]:.2f} by CPU; {note}")


def one_size(events: int) -> dict[str, Any]:
    """Run one size in this process."""
    tune_interpreter()
    with TemporaryDirectory() as folder:
        root = Path(folder)
        fill_log(root / "log.sqlite", events, RULES)
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
            runner.pipeline.process(records)
            spent.append((sum(runner.pipeline.positions.values()), time.process_time()))
        runner.pipeline.commit()
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
        print(json.dumps(one_size(int(sys.argv[1]))))
    else:
        main()
