"""`simorgh privacy`: people's requests about their own data."""

from typing import Annotated

import typer

from simorgh.commands import portability
from simorgh.commands.options import All, AsJson, Data, Limit, group
from simorgh.commands.output import show, tell
from simorgh.commands.session import connect, path_of

commands = group("Privacy: forget people, and export what is known of one.")
portability.add_to(commands)

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
