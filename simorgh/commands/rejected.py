"""`simorgh rejected`: events that were refused and kept."""

from pathlib import Path
from typing import Annotated

import typer

from schemas.errors import Conflict, InvalidInput, NotFound
from simorgh.commands.options import All, AsJson, Data, Limit, group
from simorgh.commands.output import Json, note, say, show, tell
from simorgh.commands.session import Api, connect, path_of, read_file

commands = group("Rejected events: look, correct, retry, dismiss.")

RejectedId = Annotated[str, typer.Argument(help="The rejected event's id.")]
RejectedIds = Annotated[list[str] | None, typer.Argument(help="Ids of rejected events; or --all.")]
Source = Annotated[str, typer.Option(help="Only from this source.")]
Code = Annotated[str, typer.Option(help="Only with this code.")]
AllMatching = Annotated[bool, typer.Option("--all", help="All that wait and match --source and --code.")]


@commands.command("list")
def list_(
    source: Source = "",
    code: Code = "",
    resolved: Annotated[bool, typer.Option("--resolved", help="Those that are settled, not those that wait.")] = False,
    limit: Limit = 50,
    all_: All = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """List the rejected events that wait to be fixed, latest first."""
    with connect(data) as api:
        answer = api.listed("/v1/rejected", None if all_ else limit, source=source, code=code, resolved=resolved)
    show(answer, ("id", "received_at", "source", "code", "reason"), as_json=as_json)


@commands.command("show")
def show_(rejected_id: RejectedId, data: Data = None, as_json: AsJson = False) -> None:
    """Show a rejected event with its original bytes."""
    with connect(data) as api:
        tell(api.get(path_of("rejected", rejected_id)), as_json=as_json)


@commands.command()
def retry(
    ids: RejectedIds = None,
    payload: Annotated[Path | None, typer.Option(help="A file with the corrected event; for one id.")] = None,
    all_: AllMatching = False,
    source: Source = "",
    code: Code = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Admit rejected events again, under their ids and times of receipt. Exits with 1 where one is refused again."""
    content = read_file(payload) if payload else None
    if content is not None and (all_ or len(ids or []) != 1):
        raise InvalidInput("rejected: --payload wants one id, since it corrects one event; give one")
    with connect(data) as api:
        wanted = _wanted(api, ids, all_, source, code)
        if len(wanted) == 1 and not all_:
            outcomes = [_retried(api, wanted[0], content)]
        else:
            outcomes = [_outcome(api, one) for one in wanted]
    if len(outcomes) == 1 and not all_:
        tell(outcomes[0], as_json=as_json)
    else:
        show({"items": outcomes, "next_cursor": None}, ("id", "status", "code", "reason"), as_json=as_json)
        accepted = sum(one["status"] == "accepted" for one in outcomes)
        note(f"{accepted} of {len(outcomes)} accepted")
    if any(one["status"] != "accepted" for one in outcomes):
        raise typer.Exit(1)


@commands.command()
def dismiss(
    ids: RejectedIds = None,
    all_: AllMatching = False,
    source: Source = "",
    code: Code = "",
    data: Data = None,
) -> None:
    """Take rejected events off the list for good, without admitting them. They stay in the log."""
    with connect(data) as api:
        wanted = _wanted(api, ids, all_, source, code)
        for one in wanted:
            api.delete(path_of("rejected", one))
    say(f"dismissed {len(wanted)}")


def _retried(api: Api, rejected_id: str, content: bytes | None) -> Json:
    return api.post(path_of("rejected", rejected_id, "retry"), content)


def _outcome(api: Api, rejected_id: str) -> Json:
    """Of one among many: what cannot be retried at all does not stop the others."""
    try:
        return _retried(api, rejected_id, None)
    except (InvalidInput, NotFound, Conflict) as error:
        return {"id": rejected_id, "status": "rejected", "code": error.code, "reason": error.message}


def _wanted(api: Api, ids: list[str] | None, all_: bool, source: str, code: str) -> list[str]:
    """The ids that were named, or all that match: listed before the first one changes the list."""
    if bool(ids) == all_:
        raise InvalidInput("rejected: ids or --all were wanted, and not both; name some, or give --all")
    if (source or code) and not all_:
        raise InvalidInput("rejected: --source and --code go with --all; leave the ids out, or the filters")
    if ids:
        return ids
    found: list[Json] = api.listed("/v1/rejected", None, source=source, code=code)["items"]
    return list(dict.fromkeys(one["id"] for one in found))
