"""`simorgh export`: people as JSON Lines or CSV, to a file or to standard output."""

import csv
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, Literal, TextIO

import typer

from schemas.cells import harmless
from schemas.errors import Conflict, InvalidInput
from simorgh.commands.options import Data, group
from simorgh.commands.output import Json, json_text, note
from simorgh.commands.session import Api, connect, path_of

commands = group("Export profiles and segments as JSON Lines or CSV.")

Form = Annotated[
    Literal["jsonl", "csv"], typer.Option("--format", help="JSON Lines, or CSV that is safe to open in a spreadsheet.")
]
Out = Annotated[Path | None, typer.Option(help="A new file that only you can read. Default: standard output.")]
Include = Annotated[
    str, typer.Option(help="Parts of a view, comma-separated: traits, identities, segments, metrics, consent.")
]
Columns = Annotated[
    str,
    typer.Option(
        help="Columns of a CSV, comma-separated: profile_id, entered_at, traits.NAME, identities.TYPE, metrics.NAME,"
        " segments."
    ),
]
_PARTS: Final = "traits,identities,segments,metrics,consent"
_COLUMNS: Final = "profile_id,identities.user_id,identities.email,traits.name,metrics.events,metrics.orders,segments"
_NUMBER: Final = re.compile(r"[+-]?\d+([.,]\d+)?")
_LOOKED_UP: Final = 500


@commands.command()
def profiles(
    form: Form = "jsonl",
    out: Out = None,
    include: Include = _PARTS,
    columns: Columns = _COLUMNS,
    data: Data = None,
) -> None:
    """Export every profile."""
    with connect(data) as api:
        found = (view for page in api.pages("/v1/profiles", None, order="id") for view in page["items"])
        _write(_trimmed(found, include), form, out, columns)


@commands.command()
def segment(
    segment_id: Annotated[str, typer.Argument(help="The segment's id.")],
    form: Form = "jsonl",
    out: Out = None,
    include: Include = _PARTS,
    columns: Columns = "entered_at," + _COLUMNS,
    data: Data = None,
) -> None:
    """Export every member of a segment, with the time at which it entered."""
    with connect(data) as api:
        _write(_members(api, segment_id, include), form, out, columns)


def _members(api: Api, segment_id: str, include: str) -> Iterator[Json]:
    parts = [part.strip() for part in include.split(",") if part.strip()]
    for page in api.pages(path_of("segments", segment_id, "members"), None):
        for start in range(0, len(page["items"]), _LOOKED_UP):
            some = page["items"][start : start + _LOOKED_UP]
            body = {"profiles": [one["profile_id"] for one in some], "include": parts}
            views = {one["key"]: one["profile"] for one in api.post("/v1/profiles/lookup", body)["items"]}
            for one in some:
                view = views.get(one["profile_id"]) or {}
                yield {**one, **_without(view)}


def _trimmed(views: Iterable[Json], include: str) -> Iterator[Json]:
    parts = {part.strip() for part in include.split(",")}
    for view in views:
        yield {name: value for name, value in _without(view).items() if name == "profile_id" or name in parts}


def _without(view: Json) -> Json:
    return {name: value for name, value in view.items() if name not in ("freshness", "workspace")}


def _write(rows: Iterable[Json], form: str, out: Path | None, columns: str) -> None:
    with _opened(out) as file:
        write = _json_writer(file) if form == "jsonl" else _csv_writer(file, _names(columns))
        count = 0
        for row in rows:
            write(row)
            count += 1
    note(f"{count:,} profiles exported" + (f" to {out}" if out else ""))


@contextmanager
def _opened(out: Path | None) -> Iterator[TextIO]:
    """Standard output, or a new file that appears once it is complete. Only its owner may read it: personal data."""
    if out is None:
        yield sys.stdout
        sys.stdout.flush()
        return
    if out.exists():
        raise Conflict(f"{out}: wanted a new file, got one that exists; name another file, or remove it")
    if not out.parent.is_dir():
        raise InvalidInput(f"{out}: wanted a file in a directory, got one whose directory is missing; create it")
    draft = out.with_name(out.name + ".part")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            yield file
        os.replace(draft, out)
    finally:
        draft.unlink(missing_ok=True)


def _json_writer(file: TextIO) -> Callable[[Json], object]:
    return lambda row: file.write(json_text(row) + "\n")


def _csv_writer(file: TextIO, names: list[str]) -> Callable[[Json], object]:
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(names)
    return lambda row: writer.writerow([safe(_value(row, name)) for name in names])


def _names(columns: str) -> list[str]:
    names = [name for part in columns.split(",") if (name := part.strip())]
    if not names:
        raise InvalidInput("--columns: wanted at least one name, got none; give some, such as profile_id,traits.email")
    return names


def _value(row: Json, name: str) -> Json:
    """`traits.city`, `identities.email`: the first such; `segments`: their ids."""
    member, _, below = name.partition(".")
    value = row.get(member)
    if member == "identities" and isinstance(value, list):
        return next((one["value"] for one in value if one["type"] == below or not below), None)
    if member == "segments" and isinstance(value, list):
        return " ".join(one["id"] for one in value)
    return value.get(below) if below and isinstance(value, dict) else value


def safe(value: Json) -> Json:
    """A CSV cell. An apostrophe keeps a spreadsheet from running a text as a formula. Plain numbers, such as telephone
    numbers, get none."""
    if isinstance(value, dict | list):
        value = json_text(value)
    return harmless(value) if isinstance(value, str) and not _NUMBER.fullmatch(value) else value
