"""`simorgh profiles`: read profiles; merge and split them as a steward."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from schemas.errors import InvalidInput
from simorgh.commands.options import All, AsJson, Data, Limit, group
from simorgh.commands.output import Json, show, tell
from simorgh.commands.session import connect, path_of, read_file

commands = group("Profiles: find, show, merge, split.")

Key = Annotated[str, typer.Argument(help="A profile id, or type:value such as email:sara@example.com.")]
Include = Annotated[
    str | None,
    typer.Option(
        help="Parts, comma-separated: traits, identities, segments, metrics, consent, events. Default: all but events."
    ),
]
_MOST_KEYS = 1_000
_COLUMNS = ("profile_id", "name", "email", "events", "orders", "last_seen")


@commands.command("list")
def list_(
    search: Annotated[str, typer.Option(help="An identifier, or the beginning of a name or email address.")] = "",
    order: Annotated[
        Literal["id", "newest", "latest"],
        typer.Option(help="By id; the newest profile first; or the latest activity first."),
    ] = "latest",
    limit: Limit = 50,
    all_: All = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """List profiles. To read all of them while events keep coming, order by id."""
    with connect(data) as api:
        answer = api.listed("/v1/profiles", None if all_ else limit, search=search, order=order)
    _show(answer, as_json)


@commands.command("show")
def show_(
    key: Key,
    include: Include = None,
    provenance: Annotated[
        bool, typer.Option("--provenance", help="Add the source, channel and time of each trait.")
    ] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Show the 360° view of a profile."""
    with connect(data) as api:
        tell(api.get(path_of("profiles", key), include=include, provenance=provenance), as_json=as_json)


@commands.command()
def events(
    key: Key,
    type_: Annotated[str, typer.Option("--type", help="Only this event type.")] = "",
    limit: Limit = 50,
    all_: All = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """List a profile's events, newest first."""
    with connect(data) as api:
        answer = api.listed(path_of("profiles", key, "events"), None if all_ else limit, type=type_)
    show(answer, ("time", "type", "source", "id"), as_json=as_json)


@commands.command()
def identities(
    key: Key,
    explain: Annotated[
        bool, typer.Option("--explain", help="Add the merges, refusals and splits, with their reasons.")
    ] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """List a profile's identifiers."""
    with connect(data) as api:
        answer = api.get(path_of("profiles", key, "identities"), explain=explain)
    show(answer, ("type", "value", "first_seen", "last_seen"), as_json=as_json)
    if explain and not as_json:
        show({"items": answer["decisions"]}, ("at", "outcome", "between", "identifier", "reason", "by"))


@commands.command()
def lookup(
    keys: Annotated[list[str] | None, typer.Argument(help="Profile ids, or type:value.")] = None,
    file: Annotated[Path | None, typer.Option(help="A file with one key per line.")] = None,
    include: Include = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Look up many profiles at once: one row for each key, in order, empty if nobody has it."""
    wanted = [*(keys or []), *(_lines(file) if file else [])]
    if not wanted:
        raise InvalidInput("lookup: wanted at least one key, got none; give some, or --file")
    parts = [part.strip() for part in include.split(",")] if include else None
    found: dict[str, Json] = {}
    with connect(data) as api:
        for start in range(0, len(wanted), _MOST_KEYS):
            answer = api.post("/v1/profiles/lookup", _lookup_body(wanted[start : start + _MOST_KEYS], parts))
            found |= {one["key"]: one["profile"] for one in answer["items"]}
    items = [{"key": key, "profile": found.get(key)} for key in wanted]
    if as_json:
        tell({"items": items, "next_cursor": None}, as_json=True)
        return
    show({"items": [{"key": key, **_row(found.get(key) or {})} for key in wanted]}, ("key", *_COLUMNS))


@commands.command()
def merge(
    key: Key,
    with_: Annotated[str, typer.Option("--with", help="The other profile: its id, or type:value.")],
    reason: Annotated[str, typer.Option(help="The reason, which is kept on record.")] = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Merge another profile into this one, regardless of limits. A split undoes it."""
    with connect(data) as api:
        answer = api.post(path_of("profiles", key, "merge"), {"with": with_, "reason": reason})
    _show({"items": answer["profiles"], "next_cursor": None}, as_json)


@commands.command()
def split(
    key: Key,
    identity: Annotated[list[str], typer.Option(help="type:value of an identity that leaves. May be repeated.")],
    reason: Annotated[str, typer.Option(help="The reason, which is kept on record.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing; show which side would keep the profile's id.")
    ] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Split identities off a profile. They leave together, and stay apart until they are merged again."""
    leaving = [_identifier(one) for one in identity]
    with connect(data) as api:
        path = path_of("profiles", key, "split")
        answer = api.post(path, {"identities": leaving, "reason": reason, "dry_run": dry_run})
    if dry_run:
        _show_sides(answer, as_json)
        return
    _show({"items": answer["profiles"], "next_cursor": None}, as_json)


def _show(answer: dict[str, Json], as_json: bool) -> None:
    if as_json:
        tell(answer, as_json=True)
    else:
        show({**answer, "items": [_row(view) for view in answer["items"]]}, _COLUMNS)


def _show_sides(preview: dict[str, Json], as_json: bool) -> None:
    if as_json:
        tell(preview, as_json=True)
        return
    sides = [
        {
            "side": name,
            "profile_id": side["profile_id"] or "another one",
            "identities": ", ".join(f"{one['type']}:{one['value']}" for one in side["identities"]),
        }
        for name, side in zip(("stays", "leaves"), preview["profiles"], strict=True)
    ]
    show({"items": sides}, ("side", "profile_id", "identities"))


def _row(view: dict[str, Json]) -> dict[str, Json]:
    traits, metrics = view.get("traits", {}), view.get("metrics", {})
    return {"profile_id": view.get("profile_id")} | {
        name: traits.get(name, metrics.get(name)) if name in ("name", "email") else metrics.get(name)
        for name in _COLUMNS[1:]
    }


def _lines(file: Path) -> list[str]:
    try:
        text = read_file(file).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput(
            f"{file}: wanted text in UTF-8, got other bytes; give a file with one key per line"
        ) from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def _lookup_body(keys: list[str], parts: list[str] | None) -> dict[str, Json]:
    profiles = [key for key in keys if key.startswith("prf_")]
    identifiers = [_identifier(key) for key in keys if not key.startswith("prf_")]
    return {"identifiers": identifiers, "profiles": profiles} | ({"include": parts} if parts else {})


def _identifier(text: str) -> dict[str, str]:
    kind, colon, value = text.partition(":")
    if not (kind and colon and value):
        raise InvalidInput("identity: wanted type:value, got another text; write it as in email:info@example.com")
    return {"type": kind, "value": value}
