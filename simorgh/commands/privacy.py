"""`simorgh privacy`: people's requests about their own data, and the record of who looked at it."""

import time
from typing import Annotated

import typer

from schemas.errors import Backpressure
from simorgh.commands import audit, portability
from simorgh.commands.options import All, AsJson, Data, Limit, group
from simorgh.commands.output import Json, say, show, tell
from simorgh.commands.session import Api, connect, path_of

commands = group("Privacy: forget people, export what is known of one, and check the audit.")
portability.add_to(commands)
commands.add_typer(audit.commands, name="audit")

_POLL_SECONDS = 1.0
_UNFINISHED = ("requested", "unreadable")
_COLUMNS = ("id", "state", "profile_id", "identities", "requested_at", "unreadable_at", "destroyed_at", "reason", "by")


@commands.command()
def erase(
    key: Annotated[str, typer.Argument(help="A profile id, or type:value such as email:sara@example.com.")],
    reason: Annotated[str, typer.Option(help="Why; it is kept, so it should name no person.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Forget a person: every identity of the profile, as of now. Nobody can take it back."""
    if not yes:
        typer.confirm("Everything that is known of this person becomes unreadable, for good. Continue?", abort=True)
    with connect(data) as api:
        tell(api.delete(path_of("profiles", key), {"reason": reason}), as_json=as_json)


@commands.command()
def requests(limit: Limit = 50, all_: All = False, data: Data = None, as_json: AsJson = False) -> None:
    """List requests and how far they are, the newest first."""
    with connect(data) as api:
        show(api.listed("/v1/privacy/requests", None if all_ else limit), _COLUMNS, as_json=as_json)


@commands.command()
def purge(
    seconds: Annotated[int, typer.Option(min=0, help="How long to wait.")] = 600,
    data: Data = None,
) -> None:
    """Wait until the bytes of everybody who was forgotten are gone: some half a minute on one machine."""
    deadline = time.monotonic() + seconds
    with connect(data) as api:
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
