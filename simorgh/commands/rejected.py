"""`simorgh rejected`: events that were refused and kept."""

from pathlib import Path
from typing import Annotated

import typer

from schemas.clock import iso, system_clock
from schemas.errors import Conflict, InvalidInput, NotFound
from simorgh.commands.options import All, AsJson, Data, Limit, group
from simorgh.commands.output import Json, note, say, show, tell
from simorgh.commands.session import Api, connect, path_of, read_file
from simorgh.commands.times import earlier

commands = group("Rejected events: list, show, retry, dismiss.")

RejectedId = Annotated[str, typer.Argument(help="The rejected event's id.")]
RejectedIds = Annotated[list[str] | None, typer.Argument(help="Ids of rejected events, or --all.")]
WhichSource = Annotated[str, typer.Option(help="Its source, if several sources sent this id.")]
Source = Annotated[str, typer.Option(help="Only from this source.")]
Code = Annotated[str, typer.Option(help="Only with this code.")]
Since = Annotated[
    str, typer.Option(help="Only events received since then: 2h, 7d, or a time such as 2030-01-31T00:00:00Z.")
]
Until = Annotated[str, typer.Option(help="Only events received before then, in the same form.")]
AllMatching = Annotated[bool, typer.Option("--all", help="All open events that match the filters.")]


@commands.command("list")
def list_(
    source: Source = "",
    code: Code = "",
    since: Since = "",
    until: Until = "",
    resolved: Annotated[bool, typer.Option("--resolved", help="Resolved events instead of open ones.")] = False,
    limit: Limit = 50,
    all_: All = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """List the open rejected events, latest first."""
    which = _filters(source, code, since, until)
    with connect(data) as api:
        answer = api.listed("/v1/rejected", None if all_ else limit, resolved=resolved, **which)
    show(answer, ("id", "received_at", "source", "code", "reason"), as_json=as_json)


@commands.command("show")
def show_(rejected_id: RejectedId, source: WhichSource = "", data: Data = None, as_json: AsJson = False) -> None:
    """Show a rejected event with its original bytes."""
    with connect(data) as api:
        tell(api.get(path_of("rejected", rejected_id), source=source), as_json=as_json)


@commands.command()
def retry(
    ids: RejectedIds = None,
    payload: Annotated[Path | None, typer.Option(help="A file with the fixed event, for one id.")] = None,
    all_: AllMatching = False,
    source: Source = "",
    code: Code = "",
    since: Since = "",
    until: Until = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Retry rejected events, under their ids and times of receipt. Exits with 1 if one is refused again."""
    content = read_file(payload) if payload else None
    if content is not None and (all_ or len(ids or []) != 1):
        raise InvalidInput("--payload: wanted one id, since it fixes one event, got none or several; give one")
    which = _filters(source, code, since, until)
    named = _named(ids, all_, which)
    with connect(data) as api:
        if len(named) == 1:
            outcomes = [_retried(api, named[0], source, content)]
        else:
            # read the list before the first retry changes it
            meant = [(one, source) for one in named] or _waiting(api, which)
            outcomes = [_outcome(api, *one) for one in meant]
    if len(named) == 1:
        tell(outcomes[0], as_json=as_json)
    else:
        show({"items": outcomes, "next_cursor": None}, ("id", "status", "code", "reason"), as_json=as_json)
        accepted = sum(one["status"] == "accepted" for one in outcomes)
        note(f"{accepted:,} of {len(outcomes):,} accepted")
    if any(one["status"] != "accepted" for one in outcomes):
        raise typer.Exit(1)


@commands.command()
def dismiss(
    ids: RejectedIds = None,
    all_: AllMatching = False,
    source: Source = "",
    code: Code = "",
    since: Since = "",
    until: Until = "",
    data: Data = None,
) -> None:
    """Dismiss rejected events without accepting them. They leave the list of open events and stay on record."""
    which = _filters(source, code, since, until)
    named = _named(ids, all_, which)
    with connect(data) as api:
        for one in named:
            api.post(path_of("rejected", one, "dismiss"), source=source)
        count = len(named) if named else _dismiss_all(api, which)
    say(f"dismissed {count:,}")


def _filters(source: str, code: str, since: str, until: str) -> dict[str, str]:
    given = {
        "source": source,
        "code": code,
        "since": earlier(since) if since else "",
        "until": earlier(until) if until else "",
    }
    return {name: value for name, value in given.items() if value}


def _named(ids: list[str] | None, all_: bool, which: dict[str, str]) -> list[str]:
    """The named ids; empty means all that match."""
    if bool(ids) == all_:
        came = "both" if ids else "neither"
        raise InvalidInput(f"rejected: wanted ids or --all, got {came}; name some ids, or give --all")
    if ids and set(which) - {"source"}:
        raise InvalidInput(
            "rejected: wanted --all with --code, --since or --until, got ids; leave out one or the other"
        )
    return list(dict.fromkeys(ids or []))


def _waiting(api: Api, which: dict[str, str]) -> list[tuple[str, str]]:
    """Id and source of all open events that match."""
    found: list[Json] = api.listed("/v1/rejected", None, **which)["items"]
    return list(dict.fromkeys((one["id"], one["source"]) for one in found))


def _retried(api: Api, rejected_id: str, source: str, content: bytes | None = None) -> Json:
    return api.post(path_of("rejected", rejected_id, "retry"), content, source=source)


def _outcome(api: Api, rejected_id: str, source: str) -> Json:
    """The outcome of one among many: an event that cannot be retried does not stop the others."""
    try:
        return _retried(api, rejected_id, source)
    except (InvalidInput, NotFound, Conflict) as error:
        return {"id": rejected_id, "status": "rejected", "code": error.code, "reason": error.message}


def _dismiss_all(api: Api, which: dict[str, str]) -> int:
    """Dismiss all that match now. Events that arrive meanwhile stay open."""
    body: dict[str, Json] = {"until": iso(system_clock()), **which, "limit": 1_000}
    count: int = 0
    while True:
        answer = api.post("/v1/rejected/dismiss", body)
        count += int(answer["dismissed"])
        if not answer["next_cursor"]:
            return count
        body["cursor"] = answer["next_cursor"]
