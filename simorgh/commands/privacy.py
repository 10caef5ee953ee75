"""`simorgh privacy`: people's requests about their own data, and the record of who looked at it."""

import time
from pathlib import Path
from typing import Annotated

import typer

from schemas.errors import Backpressure, InvalidInput
from simorgh.commands import audit, portability
from simorgh.commands.options import All, AsJson, Data, Limit, group
from simorgh.commands.output import Json, say, show, tell
from simorgh.commands.session import Api, connect, path_of, read_file
from simorgh.settings import load_settings

commands = group("Privacy: forget people, export what is known of one, and check the audit.")
portability.add_to(commands)
commands.add_typer(audit.commands, name="audit")

_POLL_SECONDS = 1.0
_AT_ONCE = 1_000
_UNFINISHED = ("requested", "unreadable")
_COLUMNS = ("id", "state", "profile_id", "identities", "requested_at", "unreadable_at", "destroyed_at", "reason", "by")


@commands.command()
def erase(
    reason: Annotated[str, typer.Option(help="Why; it is kept, so it should name no person.")],
    key: Annotated[
        str | None, typer.Argument(help="A profile id, or type:value such as email:sara@example.com.")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="Forget many: a file with one key in each line.")] = None,
    returning: Annotated[
        str | None,
        typer.Option(help="Later events that name them: refuse, or start_anew; else as SIMORGH_RETURNING says."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Forget a person: every identity of the profile, as of now. Nobody can take it back."""
    if (key is None) == (file is None):
        raise InvalidInput("privacy erase: wanted either a key or --file, got both or neither; name whom to forget")
    keys = _keys_in(file) if file is not None else []
    whom = "this person" if key is not None else f"the people of {len(keys)} keys"
    if not yes:
        typer.confirm(f"Everything that is known of {whom} becomes unreadable, for good. Continue?", abort=True)
    body = {"reason": reason} | ({"returning": returning} if returning else {})
    with connect(data) as api:
        if key is not None:
            tell(api.delete(path_of("profiles", key), body), as_json=as_json)
        else:
            _erase_all(api, keys, body, as_json)


def _erase_all(api: Api, keys: list[str], body: dict[str, str], as_json: bool) -> None:
    items: list[Json] = []
    unknown: list[int] = []
    for start in range(0, len(keys), _AT_ONCE):
        found = api.post("/v1/privacy/erasures", {**body, "keys": keys[start : start + _AT_ONCE]})
        items += found["items"]
        unknown += [start + place + 1 for place in found["unknown"]]
    show({"items": items, "unknown": unknown, "next_cursor": None}, _COLUMNS, as_json=as_json)
    if unknown and not as_json:
        say(f"lines of keys that no profile has, or several have: {', '.join(map(str, unknown))}")


def _keys_in(path: Path) -> list[str]:
    """The lines of a file. Raises `InvalidInput` and `NotFound` in one line."""
    try:
        lines = read_file(path).decode()
    except UnicodeDecodeError:
        raise InvalidInput(f"{path}: wanted text in UTF-8, got other bytes; write one key in each line") from None
    keys = [line.strip() for line in lines.splitlines()]
    if not keys or not all(keys):
        raise InvalidInput(f"{path}: wanted one key in each line, got an empty line or file; fix the file")
    return keys


@commands.command()
def requests(limit: Limit = 50, all_: All = False, data: Data = None, as_json: AsJson = False) -> None:
    """List requests and how far they are, the newest first."""
    with connect(data) as api:
        show(api.listed("/v1/privacy/requests", None if all_ else limit), _COLUMNS, as_json=as_json)


@commands.command()
def returning(
    request: Annotated[str, typer.Argument(help="Id of the request, see simorgh privacy requests.")],
    decision: Annotated[str, typer.Argument(help="Later events that name them: refuse, or start_anew.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Decide anew what becomes of later events that name somebody who was forgotten. What was erased stays so."""
    with connect(data) as api:
        path = path_of("privacy", "requests", request, "returning")
        tell(api.put(path, {"returning": decision}), as_json=as_json)


@commands.command()
def purge(
    seconds: Annotated[int, typer.Option(min=0, help="How long to wait.")] = 600,
    data: Data = None,
) -> None:
    """Wait until the bytes of everybody who was forgotten are gone: some half a minute on one machine. On a cluster,
    where the settings name Kafka, it is compacted at once meanwhile; otherwise this takes a day."""
    from simorgh.data_keys import compacting_soon

    deadline = time.monotonic() + seconds
    with connect(data) as api, compacting_soon(load_settings(data=data)):
        while waiting := sum(one["state"] in _UNFINISHED for one in _erasures(api)):
            if time.monotonic() > deadline:
                raise Backpressure(
                    f"privacy: wanted every request to be destroyed within {seconds} s, got {waiting} that are not; see"
                    " simorgh doctor for what hinders it, then try again",
                    code="not_destroyed_yet",
                )
            time.sleep(_POLL_SECONDS)
        say(f"destroyed: {sum(one['state'] == 'destroyed' for one in _erasures(api))}, waiting: 0")


def _erasures(api: Api) -> list[Json]:
    return [one for one in api.listed("/v1/privacy/requests", None)["items"] if one["type"] == "erasure"]
