"""Import one file: rows in, events out, a report at the end. Importing a file twice changes nothing.

1  an interrupted import's count is read (`checkpoint`): the events up to there are made again, and not sent
2  a batch is sent, and is on disk with its answer   a crash before 3: it is sent again, as copies
3  the count of sent events is written
4  at the file's end the count is removed             a crash before: only the last batch is sent again
"""

import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from producers.files.checkpoint import Checkpoint
from producers.files.correcting import COMPLETED, EarlierImport, correction
from producers.files.ends import DocumentEnds
from producers.files.events import REFUSED, Event
from producers.files.mapping import Mapping, OrderMapping
from producers.files.orders import OrderReader
from producers.files.reader import check_columns, count_rows, read_rows
from producers.files.recognise import recognised
from producers.files.report import FIRST_EVENTS, Report
from producers.files.rows import RowReader
from producers.files.settling import Settling
from producers.files.sinks import Sink
from producers.files.streak import GoOn, Streak
from schemas.errors import InvalidInput

Progress = Callable[[int, int], None]
"""Called now and then with the rows read so far, and all rows."""

Known = Callable[[list[Event]], list[EarlierImport]]
"""Says what was here of these events (up to 1,000) before this import."""

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
    checkpoint: Checkpoint | None = None,
    settling: Settling | None = None,
) -> Report:
    """Read `path` by `mapping`, send the events to `sink`, and report.

    `channel` overrides the mapping's. Without a sink it is a dry run: everything is read and checked, and nothing is
    sent. `shift_weeks` moves all times by whole weeks, so that weekdays and hours stay. With `known` the report
    distinguishes new events from those that were here; with `settling`, rows that an earlier import could not use are
    settled. `go_on` is called when everything fails for one reason. With a
    `checkpoint`, an interrupted import goes on where it stopped. Blocks until every event is answered. Raises
    `InvalidInput` if the file or the mapping cannot be used at all, `SameFault` if `go_on` returns false, and the
    sink's errors. Events sent before that stay, and a second import adds the rest.
    """
    report = Report(dry_run=sink is None, tells_new=known is not None)
    started = time.perf_counter()
    events = read_events(path, mapping, report, progress, channel=channel, shift_weeks=shift_weeks, go_on=go_on)
    if sink is None:
        _try(events, report)
    else:
        _send_all(events, sink, report, known, go_on, checkpoint, settling)
        report.settled = settling.finish() if settling else 0
    report.seconds = time.perf_counter() - started
    return report


def _try(events: Iterator[Event], report: Report) -> None:
    for event in events:
        if event["type"] != REFUSED:
            report.events[event["type"]] += 1
            if len(report.first_events) < FIRST_EVENTS:
                report.first_events.append(event)


def _send_all(
    events: Iterator[Event],
    sink: Sink,
    report: Report,
    known: Known | None,
    go_on: GoOn,
    checkpoint: Checkpoint | None,
    settling: Settling | None,
) -> None:
    refusals = Streak("events were refused", go_on)
    if checkpoint is None:
        for batch in _batches(events):
            _send(batch, sink, report, known, refusals, settling)
        return
    report.continued_at = sum(1 for _ in islice(events, checkpoint.sent))
    try:
        for batch in _batches(events):
            _send(batch, sink, report, known, refusals, settling)
            checkpoint.advance(len(batch))
    except BaseException:
        checkpoint.write()
        raise
    checkpoint.finish()


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
    """The events of a file, generated lazily. A file of orders is read twice: first to find where documents end."""
    chosen = channel or mapping.channel
    if chosen is None:
        raise InvalidInput(
            f'{path.name}: wanted a channel, got none; write channel = "pos" in the mapping or give --channel',
            code="no_channel",
        )
    form, report.recognised = recognised(path, mapping)
    mapping = mapping.model_copy(update={"format": form})
    check_columns(path, mapping)
    told = Streak("rows failed", go_on).saw
    if isinstance(mapping, OrderMapping):
        orders = OrderReader(mapping, chosen, report, shift_weeks, file=path.name, told=told)
        parts = mapping.document.parts
        ends = DocumentEnds(
            (row.number, orders.number_of(row.values)) for row in read_rows(path, form, parts) if row.values
        )
        total = ends.rows
        events = orders.events(read_rows(path, form, mapping.columns(), mapping.optional_columns()), ends)
    else:
        reader = RowReader(mapping, chosen, report, shift_weeks, file=path.name, told=told)
        total = count_rows(path, form)
        events = reader.events(read_rows(path, form, mapping.columns(), mapping.optional_columns()))
    for event in events:
        progress(report.rows, max(total, report.rows))
        yield event
    progress(max(total, report.rows), max(total, report.rows))


def _batches(events: Iterator[Event]) -> Iterator[list[Event]]:
    while batch := list(islice(events, _BATCH)):
        yield batch


def _send(
    batch: list[Event],
    sink: Sink,
    report: Report,
    known: Known | None,
    refusals: Streak,
    settling: Settling | None,
) -> None:
    """What is here as it is in the file is not sent again."""
    if settling is not None:
        settling.saw(batch)
    sent = list(_unsent(batch, known(batch), report)) if known else batch
    for event, outcome in zip(sent, sink.send(sent), strict=True):
        if event["type"] == REFUSED:  # those are in the report already, row by row
            continue
        refusals.saw(None if outcome.accepted else outcome.code)
        if not outcome.accepted:
            report.refuse_event(outcome.code, event["id"])
            continue
        report.events[event["type"]] += 1


def _unsent(batch: list[Event], befores: list[EarlierImport], report: Report) -> Iterator[Event]:
    """The new events, and corrections of those that are here with another content."""
    for event, before in zip(batch, befores, strict=True):
        if event["type"] == REFUSED or not before.known:
            yield event
        elif before.same:
            report.events[event["type"]] += 1
            report.already_here += 1
        elif event["type"] == COMPLETED:
            report.corrected += 1
            yield correction(event, before.corrections + 1)
        else:  # the first one counts, and this one is kept beside it
            report.conflicting += 1
            yield event
