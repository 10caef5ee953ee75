"""The work of `simorgh import`: sends a file's events, distinguishes new ones, and asks if all fail."""

import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import typer
from rich.progress import Progress

from producers import cloudevents
from producers.files.checkpoint import Checkpoint
from producers.files.correcting import EarlierImport, earlier
from producers.files.events import Event
from producers.files.importer import import_file
from producers.files.mapping import Mapping, load_mapping
from producers.files.report import Report
from producers.files.settling import Settling
from producers.files.sinks import Sink
from producers.files.streak import GoOn
from schemas.errors import Backpressure, Broken, Denied, InvalidInput, NotFound
from simorgh.commands.channels import KNOWN, checked_channel
from simorgh.commands.output import note
from simorgh.commands.session import Api, connect, path_of

_PATIENCE_S: Final = 120.0
_POLL_SECONDS: Final = 0.1


def run(
    file: Path,
    mapping: str,
    data: Path | None,
    bar: Progress,
    *,
    channel: str | None = None,
    source: str | None = None,
    dry_run: bool = False,
    go_on: bool = False,
    create: bool = False,
) -> Report:
    """Import the file into the deployment that the settings name; or read it only. Raises what `import_file` raises."""
    rules = load_mapping(mapping)
    if source is not None:
        rules = rules.model_copy(update={"source": source})
    given = channel or rules.channel
    if given is None:
        raise InvalidInput(
            f'{file.name}: wanted a channel, got none; write channel = "pos" in the mapping, or give --channel'
        )

    def asks(fault: str) -> bool:
        return go_on or _confirmed(bar, fault)

    if dry_run:
        rules = _with_settings_if_there(data, rules)
        return _read(file, rules, bar, channel=_checked_alone(data, given), go_on=asks)
    with connect(data, create=create) as api:
        report = import_into(api, file, rules, bar, channel=given, go_on=asks)
        if not api.follows:
            wait_until_visible(api, bar)
    return report


def import_into(
    api: Api, file: Path, rules: Mapping, bar: Progress, *, channel: str, go_on: GoOn = lambda fault: False
) -> Report:
    """Import the file by way of an open session. Raises what `import_file` raises."""
    rules = with_settings(api, rules)
    with api.sink(checked_channel(api, channel), rules.source) as sink:
        checkpoint = None
        if api.folder is not None:
            checkpoint = Checkpoint(api.folder / "imports", file, rules, channel)
        known = _Known(api, rules.source)
        return _read(
            file,
            rules,
            bar,
            sink,
            channel=channel,
            go_on=go_on,
            known=known,
            checkpoint=checkpoint,
            settling=_settling(api, api.source(rules.source)),
        )


def _settling(api: Api, source: str) -> Settling | None:
    """None where the token may not settle rejected events."""
    try:
        pages = api.pages("/v1/rejected", None, source=source, code=cloudevents.REFUSED_BY_SENDER)
        waiting = {item["id"] for page in pages for item in page["items"]}
    except Denied:
        return None

    def dismiss(id: str) -> None:
        with suppress(NotFound):  # somebody else was faster
            api.post(f"{path_of('rejected', id)}/dismiss", source=source)

    return Settling(waiting, dismiss)


def with_settings(api: Api, rules: Mapping) -> Mapping:
    """The mapping with its source's settings where it has none of its own: currency, phone region, time zone.

    The source's other settings (book, clock, trust, aliases, strictness) hold where its events are received.
    """
    if rules.source is None:
        return rules
    declared = api.get(path_of("sources", rules.source))
    changes: dict[str, Any] = {
        name: declared.get(name) for name in ("currency", "region") if getattr(rules, name) is None
    }
    if rules.time is not None and rules.time.zone is None and declared.get("time_zone"):
        changes["time"] = rules.time.model_copy(update={"zone": declared["time_zone"]})
    return rules.model_copy(update=changes)


def _with_settings_if_there(data: Path | None, rules: Mapping) -> Mapping:
    """For a dry run, which needs no data folder unless the mapping names a source."""
    if rules.source is None:
        return rules
    with connect(data) as api:
        return with_settings(api, rules)


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
    """Asks the platform what was here of some events before this import. Everything in the log at its start is counted
    by then, and an import sends no event twice, so every known event was here before."""

    def __init__(self, api: Api, source: str | None) -> None:
        self._api = api
        self._source = api.source(source)
        self._waited = False

    def __call__(self, events: list[Event]) -> list[EarlierImport]:
        if not self._waited:
            _patiently(self._api)
            self._waited = True
        return earlier(events, self._ask)

    def _ask(self, events: list[Event]) -> list[tuple[bool, str | None]]:
        names = [{"source": self._source, "id": cloudevents.event_id(event)} for event in events]
        answer = self._api.post("/v1/events/known", {"events": names, "contents": True})
        return list(zip(answer["known"], answer["contents"], strict=True))


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


def wait_until_visible(api: Api, bar: Progress) -> None:
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
