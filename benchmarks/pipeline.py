"""Log -> identity -> profiles -> 20 live segments, beside a bare loop: read the log, orjson, one Arrow insert."""

import gc
import resource
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import orjson
import pyarrow as pa

from benchmarks import report
from benchmarks.world import declare, fill_log, pour
from eventlog.port import Record
from eventlog.sqlite import SqliteEventLog
from schemas import topics
from schemas.clock import system_clock
from simorgh.interpreter import tune_interpreter
from stream_processors.host.runner import BATCH_PER_PARTITION, Runner
from warehouse.client import Warehouse, Writer

EVENTS, RULES, ROUNDS = 100_000, 20, 3
Round = Callable[[SqliteEventLog, Warehouse, int, Callable[[], None]], tuple[float, float]]
"""One round on a log and a generation of its own, which asks for the events when it is ready: seconds of time and of
CPU."""


def main(events: int = EVENTS, rounds: int = ROUNDS) -> float:
    """Print the comparison; returns the ratio of the medians, bare over pipeline."""
    tune_interpreter()
    with TemporaryDirectory() as folder:
        root = Path(folder)
        fill_log(root / "full.sqlite", events, RULES)
        warehouse = Warehouse(f"chdb://{root / 'warehouse'}")
        bare, ours = [], []
        for number in range(rounds):
            bare.append(_timed(_bare_round, root, warehouse, 100 + number))
            ours.append(_timed(_our_round, root, warehouse, 200 + number))
        ratio = report.median([b[0] for b in bare]) / report.median([o[0] for o in ours])
        cpu_ratio = report.median([b[1] for b in bare]) / report.median([o[1] for o in ours])
    rows = [
        (
            name,
            events / report.median([t[0] for t in times]),
            *(report.median([t[i] for t in times]) / events * 1e6 for i in (0, 1)),
        )
        for name, times in (("bare loop", bare), (f"identity, profiles, {RULES} segments", ours))
    ]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    note = f"ratio {ratio:.2f} by time, {cpu_ratio:.2f} by CPU; peak memory {peak:,.0f} MB; {report.machine()}"
    report.show(
        f"Pipeline, {events:,} events, median of {rounds}", ("", "events/s", "µs/event", "CPU µs/event"), rows, note
    )
    return ratio


def _timed(run: Round, root: Path, warehouse: Warehouse, generation: int) -> tuple[float, float]:
    log = SqliteEventLog(root / f"{generation}.sqlite")
    declare(log, RULES)
    warehouse.migrate(generation)
    try:
        return run(log, warehouse, generation, lambda: pour(root / "full.sqlite", log))
    finally:
        log.close()
        warehouse.drop(generation)
        (root / f"{generation}.sqlite").unlink()


def _our_round(
    log: SqliteEventLog, warehouse: Warehouse, generation: int, events: Callable[[], None]
) -> tuple[float, float]:
    runner = Runner(log, warehouse, generation, system_clock)
    runner.recover()
    runner.declarations.step()
    events()
    spent = drained(runner)
    runner.stop()
    return spent


def drained(runner: Runner) -> tuple[float, float]:
    """Process all that is in the log: seconds of time and of CPU."""
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    while records := runner.next_records():
        runner.box.process(records)
    runner.box.commit()
    return time.perf_counter() - wall, time.process_time() - cpu


def _bare_round(
    log: SqliteEventLog, warehouse: Warehouse, generation: int, events: Callable[[], None]
) -> tuple[float, float]:
    writer = warehouse.writer(generation)
    events()
    gc.collect()
    positions = [0] * len(log.ends(topics.EVENTS))
    wall, cpu = time.perf_counter(), time.process_time()
    while records := _read(log, positions):
        _bare_insert(writer, records)
    return time.perf_counter() - wall, time.process_time() - cpu


def _read(log: SqliteEventLog, positions: list[int]) -> list[Record]:
    records: list[Record] = []
    for partition, position in enumerate(positions):
        found = log.read(topics.EVENTS, partition, position, BATCH_PER_PARTITION)
        positions[partition] += len(found)
        records += found
    return records


def _bare_insert(writer: Writer, records: list[Record]) -> None:
    """The least that a projection could do: parse, and one insert into one table, the payload included."""
    events = [orjson.loads(record.value) for record in records]
    nodes = [bytes.fromhex(e["identifiers"][0]["node"]) if e["identifiers"] else bytes(16) for e in events]
    times = np.array([e["time"][:-1] for e in events], dtype="datetime64[ms]")
    count = len(records)
    writer.insert(
        "events",
        pa.table(
            {
                "node": pa.array(nodes, pa.binary(16)),
                "time": pa.array(times).cast(pa.timestamp("ms", "UTC")),
                "type": pa.array([e["type"] for e in events], pa.string()),
                "part": pa.array([r.partition for r in records], pa.uint16()),
                "off": pa.array([r.offset for r in records], pa.uint64()),
                "amount": pa.array(np.zeros(count, dtype=np.int64)).cast(pa.decimal128(38, 0)),
                "currency": pa.array([""] * count, pa.string()),
                "payload": pa.array([r.value for r in records], pa.binary()),
            }
        ),
    )


if __name__ == "__main__":
    main()
