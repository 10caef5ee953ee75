"""Import one file: rows in, events out, a report at the end. Importing a file twice changes nothing."""

import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from producers.files.mapping import Mapping
from producers.files.orders import REFUSED, Event, OrderReader
from producers.files.reader import check_columns, read_rows
from producers.files.report import Report
from producers.files.sinks import Sink
from producers.files.streak import GoOn, Streak
from schemas.errors import InvalidInput

Progress = Callable[[int, int], None]
"""Called now and then with the rows read so far, and all rows."""

Known = Callable[[list[Event]], list[bool]]
"""Says which of these events (up to 1,000) were here before this import."""

_BATCH = 1_000


def _nobody(done: int, total: int) -> None:
    """Progress that is not shown."""


def _always(fault: str) -> bool:
    """Continue, whatever fails."""
    return True


def import_file(
    path: Path,
    mapping: Mapping,
    sink: Sink | None,
    progress: Progress = _nobody,
    *,
    channel: str | None = None,
    shift_weeks: int = 0,
    known: Known | None = None,
    go_on: GoOn = _always,
) -> Report:
    """Read `path` by `mapping`, send the events to `sink`, and report.

    `channel` overrides the mapping's. Without a sink it is a dry run: everything is read and checked, and nothing is
    sent. `shift_weeks` moves all times by whole weeks, so that weekdays and hours stay. With `known` the report
    distinguishes new events from those that were here. `go_on` is called when everything fails for one reason. Blocks
    until every event is answered. Raises `InvalidInput` if the file or the mapping cannot be used at all, `SameFault`
    if `go_on` returns false, and the sink's errors. Events sent before that stay, and a second import adds the rest.
    """
    report = Report(dry_run=sink is None, tells_new=known is not None)
    started = time.perf_counter()
    events = read_events(path, mapping, report, progress, channel=channel, shift_weeks=shift_weeks, go_on=go_on)
    refusals = Streak("events were refused", go_on)
    for batch in _batches(events):
        if sink is None:
            report.events.update(event["type"] for event in batch if event["type"] != REFUSED)
        else:
            _send(batch, sink, report, known, refusals)
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
    go_on: GoOn = _always,
) -> Iterator[Event]:
    """The CloudEvents of a file, generated lazily. Reads the file twice: first to find where documents end."""
    chosen = channel or mapping.channel
    if chosen is None:
        raise InvalidInput(
            f'{path.name}: wanted a channel, got none; write channel = "pos" in the mapping or give --channel',
            code="no_channel",
        )
    check_columns(path, mapping)
    rows = Streak("rows failed", go_on)
    orders = OrderReader(mapping, chosen, report, shift_weeks, file=path.name, told=rows.saw)
    last_rows = orders.last_rows(read_rows(path, mapping.format, [mapping.document.column]))
    total = max(last_rows.values(), default=0)
    for event in orders.events(read_rows(path, mapping.format, mapping.columns()), last_rows):
        progress(report.rows, total)
        yield event
    progress(total, total)


def _batches(events: Iterator[Event]) -> Iterator[list[Event]]:
    while batch := list(islice(events, _BATCH)):
        yield batch


def _send(batch: list[Event], sink: Sink, report: Report, known: Known | None, refusals: Streak) -> None:
    here = known(batch) if known else [False] * len(batch)
    for event, outcome, was_here in zip(batch, sink.send(batch), here, strict=True):
        if event["type"] == REFUSED:  # those are in the report already, row by row
            continue
        refusals.saw(None if outcome.accepted else outcome.code)
        if not outcome.accepted:
            report.reject(outcome.code, f"event {event['id']}")
            continue
        report.events[event["type"]] += 1
        report.already_here += was_here
