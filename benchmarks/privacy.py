"""What sealing costs: HTTP ingest and the pipeline, with it and without, in turns; and the size of an event in the log.

`python -m benchmarks.privacy` prints a table in some two minutes.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from starlette.applications import Starlette

from benchmarks import ingest, report
from benchmarks.pipeline import RULES, drained
from benchmarks.world import SECRET, declare, fill_log, pour
from eventlog.port import EventLog
from eventlog.sqlite import SqliteEventLog
from privacy.keyring import Keyring
from privacy.log import SealedLog
from privacy.sqlite import SqliteKeys
from registry.registry import Registry
from schemas.clock import system_clock
from simorgh.interpreter import tune_interpreter
from stream_processors.host.runner import Runner
from warehouse.client import Warehouse

EVENTS: Final = 50_000
ROUNDS: Final = 5
HTTP_ROUNDS: Final = 8
WAYS: Final = ("clear", "sealed")
GOAL: Final = 0.85
SIZE_GOAL: Final = 250


def main(events: int = EVENTS, rounds: int = ROUNDS) -> None:
    """Measure and print."""
    http = ingest.measure(rounds=HTTP_ROUNDS, servers=WAYS, module="benchmarks.privacy")
    pipeline, sizes = measure_pipeline(events, rounds)
    rows = [
        ("HTTP ingest", *_compared([(one.per_second, one.cpu) for one in http[way]] for way in WAYS)),
        ("pipeline, 20 segments", *_compared(pipeline[way] for way in WAYS)),
    ]
    columns = ("", "events/s clear", "sealed", "ratio", "CPU µs clear", "sealed", "ratio by CPU")
    said = ", ".join(f"{way} {size:.0f}" for way, size in sizes.items())
    note = f"wanted: {GOAL}; bytes per event in the log: {said} (wanted: {SIZE_GOAL}); {report.machine()}"
    report.show(f"Sealing, {events:,} events, medians of pairs", columns, rows, note)


def _compared(both: Iterable[Sequence[tuple[float, float]]]) -> tuple[float, ...]:
    """Events per second and CPU per event of both ways, with the medians of the ratios."""
    clear, sealed = both
    found: list[float] = []
    for field, is_cpu in ((0, False), (1, True)):
        ratios = [
            (c[field] / s[field]) if is_cpu else (s[field] / c[field]) for c, s in zip(clear, sealed, strict=True)
        ]
        found += [report.median([one[field] for one in way]) for way in (clear, sealed)]
        found.append(report.median(ratios))
    return tuple(found)


def measure_pipeline(events: int, rounds: int) -> tuple[dict[str, list[tuple[float, float]]], dict[str, float]]:
    """Events per second and CPU per event of each way, by round; and bytes per event in the log."""
    tune_interpreter()
    made: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    with TemporaryDirectory() as folder:
        root = Path(folder)
        keyring = Keyring(SqliteKeys(root / "keys.sqlite"), SECRET)
        for way in WAYS:
            fill_log(root / f"{way}.sqlite", events, RULES, keyring=keyring if way == "sealed" else None)
        sizes = {way: (root / f"{way}.sqlite").stat().st_size / events for way in WAYS}
        warehouse = Warehouse(f"chdb://{root / 'warehouse'}")
        for number in range(rounds + 1):
            for way in WAYS:
                one = _round(root, way, warehouse, keyring if way == "sealed" else None, events)
                if number:  # the first warms up
                    made[way].append(one)
        keyring.close()
    return made, sizes


def _round(root: Path, way: str, warehouse: Warehouse, keyring: Keyring | None, events: int) -> tuple[float, float]:
    plain = SqliteEventLog(root / "round.sqlite")
    declare(plain, RULES)
    generation = max([0, *warehouse.generations()]) + 1
    warehouse.migrate(generation)
    log: EventLog = SealedLog(plain, keyring) if keyring else plain
    runner = Runner(log, warehouse, generation, system_clock, keyring=keyring)
    runner.recover()
    runner.declarations.step()
    pour(root / f"{way}.sqlite", plain)
    spent = drained(runner)
    runner.stop()
    plain.close()
    for path in root.glob("round.sqlite*"):
        path.unlink()
    warehouse.drop(generation)
    return events / spent[0], spent[1] / events * 1e6


def _app(way: str, folder: Path, log: SqliteEventLog, registry: Registry) -> Starlette:
    if way == "clear":
        return ingest.collector_app(log, registry)
    keyring = Keyring(SqliteKeys(folder / "keys.sqlite"), ingest.SECRET)
    return ingest.collector_app(SealedLog(log, keyring), registry, keyring)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        way, folder = sys.argv[1], Path(sys.argv[2])
        ingest.serve("collector", folder, ingest.bare_app, lambda log, registry: _app(way, folder, log, registry))
    else:
        main()
