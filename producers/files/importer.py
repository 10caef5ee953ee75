"""Import one file: rows in, events out, a report at the end. Importing a file twice changes nothing."""

import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from producers.files.mapping import Mapping
from producers.files.orders import REFUSED, Event, OrderReader
from producers.files.reader import read_rows
from producers.files.report import Report
from producers.files.sinks import Sink
from schemas.errors import InvalidInput

Progress = Callable[[int, int], None]
"""Told now and then: rows read so far, rows in all."""

_BATCH = 1_000


def _nobody(done: int, total: int) -> None:
    """Progress that nobody watches."""


def import_file(
    path: Path,
    mapping: Mapping,
    sink: Sink | None,
    progress: Progress = _nobody,
    *,
    channel: str | None = None,
    shift_weeks: int = 0,
) -> Report:
    """Read `path` by `mapping`, send the events to `sink`, and report.

    `channel` overrides the mapping's. Without a sink it is a dry run: all is read and checked, nothing sent.
    `shift_weeks` moves all times by whole weeks, so that weekdays and hours stay. Blocks until every event
    was answered. Raises `InvalidInput` when the file or the mapping cannot be used at all, and what the sink
    raises; what was sent until then stays, and a second import adds the rest.
    """
    report = Report(dry_run=sink is None)
    started = time.perf_counter()
    for batch in _batches(read_events(path, mapping, report, progress, channel=channel, shift_weeks=shift_weeks)):
        if sink is None:
            report.events.update(event["type"] for event in batch if event["type"] != REFUSED)
        else:
            _send(batch, sink, report)
    report.seconds = time.perf_counter() - started
    return report


def read_events(
    path: Path,
    mapping: Mapping,
    report: Report,
    progress: Progress = _nobody,
    *,
    channel: str | None = None,
    shift_weeks: int = 0,
) -> Iterator[Event]:
    """The CloudEvents of a file, made while they are drawn. Reads it twice: first for where documents end."""
    chosen = channel or mapping.channel
    if chosen is None:
        raise InvalidInput(
            f'{path.name}: no channel; write channel = "pos" in the mapping or give --channel',
            code="no_channel",
        )
    orders = OrderReader(mapping, chosen, report, shift_weeks, file=path.name)
    last_rows = orders.last_rows(read_rows(path, mapping.format, [mapping.document.column]))
    total = max(last_rows.values(), default=0)
    for event in orders.events(read_rows(path, mapping.format, mapping.columns()), last_rows):
        progress(report.rows, total)
        yield event
    progress(total, total)


def _batches(events: Iterator[Event]) -> Iterator[list[Event]]:
    while batch := list(islice(events, _BATCH)):
        yield batch


def _send(batch: list[Event], sink: Sink, report: Report) -> None:
    for event, outcome in zip(batch, sink.send(batch), strict=True):
        if outcome.accepted:
            report.events[event["type"]] += 1
        elif event["type"] != REFUSED:  # those are in the report already, row by row
            report.reject(outcome.code, f"event {event['id']}")
