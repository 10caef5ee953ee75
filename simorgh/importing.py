"""The work of `simorgh import`: sends a file's events, distinguishes new ones, and asks if all fail."""

import sys
import time
from pathlib import Path
from typing import Any, Final

import typer
from rich.progress import Progress

from producers import cloudevents
from producers.files.importer import import_file
from producers.files.mapping import Mapping, load_mapping
from producers.files.orders import Event
from producers.files.report import Report
from producers.files.sinks import Sink
from schemas.errors import Backpressure, Broken, InvalidInput, NotFound
from simorgh.commands.channels import KNOWN, checked_channel
from simorgh.commands.output import note
from simorgh.commands.session import Api, connect

_PATIENCE_S: Final = 120.0
_POLL_SECONDS: Final = 0.1


def run(
    file: Path,
    mapping: Path,
    data: Path | None,
    bar: Progress,
    *,
    channel: str | None,
    dry_run: bool,
    go_on: bool,
    create: bool,
) -> Report:
    """Import the file into the deployment that the settings name; or read it only. Raises what `import_file` raises."""
    rules = load_mapping(mapping)
    given = channel or rules.channel
    if given is None:
        raise InvalidInput(
            f'{file.name}: wanted a channel, got none; write channel = "pos" in the mapping, or give --channel'
        )

    def asks(fault: str) -> bool:
        return go_on or _confirmed(bar, fault)

    if dry_run:
        return _read(file, rules, bar, channel=_checked_alone(data, given), go_on=asks)
    with connect(data, create=create) as api, api.sink(checked_channel(api, given)) as sink:
        report = _read(file, rules, bar, sink, channel=given, go_on=asks, known=_Known(api))
        if not api.follows:
            _wait_until_visible(api, bar)
    return report


def _checked_alone(data: Path | None, channel: str) -> str:
    """For a dry run, which needs no data folder: only a declared channel needs a request."""
    if channel in KNOWN:
        return channel
    try:
        with connect(data) as api:
            return checked_channel(api, channel)
    except NotFound:
        return checked_channel(None, channel)


def _read(file: Path, rules: Mapping, bar: Progress, sink: Sink | None = None, **more: Any) -> Report:
    task = bar.add_task("rows", total=None)
    return import_file(file, rules, sink, lambda done, total: bar.update(task, completed=done, total=total), **more)


def _confirmed(bar: Progress, fault: str) -> bool:
    """Ask, if there is a terminal."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    bar.stop()
    try:
        return typer.confirm(f"{fault}. Go on all the same?", default=False, err=True)
    except (typer.Abort, KeyboardInterrupt):
        return False
    finally:
        bar.start()


class _Known:
    """Asks the platform which events were here before this import. Everything in the log at its start is counted by
    then, and an import sends no event twice, so every known event was here before."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._source = api.source()
        self._waited = False

    def __call__(self, events: list[Event]) -> list[bool]:
        if not self._waited:
            _patiently(self._api)
            self._waited = True
        body = {"events": [{"source": self._source, "id": cloudevents.event_id(event)} for event in events]}
        known: list[bool] = self._api.post("/v1/events/known", body)["known"]
        return known


def _patiently(api: Api) -> None:
    """Wait until the projections have passed the log's records. Raises `Backpressure` if that takes too long."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            api.post("/v1/events/known", {"events": []}, wait=True)
            return
        except Backpressure as error:
            if error.code != "not_visible_yet" or time.monotonic() > deadline:
                raise Backpressure(
                    "import: wanted a log that is fully processed, to recognise events that are here, got lag; see"
                    " `simorgh status`, and import when lag_events is 0"
                ) from error
            note("waiting for what is in the log to be processed …")


def _wait_until_visible(api: Api, bar: Progress) -> None:
    """Without a server no other process handles the new events: process them up to the profiles."""
    task = bar.add_task("profiles catch up, events to go", total=None)
    most, moved = 0, time.monotonic()
    before = -1
    while lag := max(stage["lag_events"] for stage in api.get("/v1/status")["projections"]):
        most = max(most, lag)
        bar.update(task, total=most, completed=most - lag)
        if lag != before:
            before, moved = lag, time.monotonic()
        if time.monotonic() - moved > _PATIENCE_S:
            raise Broken(
                f"import: wanted all events processed, got {lag:,} that still wait; run `simorgh doctor`, they are"
                " safe in the log"
            )
        time.sleep(_POLL_SECONDS)
    bar.update(task, total=most or 1, completed=most or 1)
