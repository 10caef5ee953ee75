"""`simorgh privacy audit`: who looked at what and changed what, and whether that record is as it was written."""

from typing import Annotated

import typer

from schemas.errors import Broken
from simorgh.commands.options import All, AsJson, Data, Limit, group
from simorgh.commands.output import note, say, show, tell
from simorgh.commands.session import connect

commands = group("The audit: who looked at what, and changed what.")

_COLUMNS = ("at", "token", "action", "status", "target", "profiles", "others")


@commands.command("list")
def list_(
    profile: Annotated[str, typer.Option(help="Only entries about this profile: its id, or type:value.")] = "",
    token: Annotated[str, typer.Option(help="Only requests with this token, by its id.")] = "",
    action: Annotated[str, typer.Option(help="Only this action, such as profiles.view.")] = "",
    limit: Limit = 100,
    all_: All = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """List who looked at what and changed what, newest first."""
    with connect(data) as api:
        answer = api.listed("/v1/audit", None if all_ else limit, profile=profile, token=token, action=action)
    show(answer, _COLUMNS, as_json=as_json)


@commands.command()
def verify(
    known: Annotated[
        str, typer.Option(help="The head that an earlier check printed: shows if newer entries are missing.")
    ] = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Check the chains of hashes from the first entry to the last. Exits with 1 if they are broken."""
    with connect(data) as api:
        found = api.post("/v1/audit/verify", {"known": known})
        while found["next_cursor"]:
            found = api.post("/v1/audit/verify", {"cursor": found["next_cursor"]})
    if as_json:
        tell(found, as_json=True)
    else:
        say(f"{found['entries']:,} entries in {found['chains']:,} chains, head {found['head']}")
        for fault in found["faults"]:
            say(f"offset {fault['offset']}: {fault['reason']}")
        if not known and not found["broken"]:
            note("keep the head somewhere else: with --known, the next check shows whether all up to it is still there")
    if found["broken"]:
        first = found["faults"][0]
        raise Broken(
            f"simorgh.audit, offset {first['offset']}: wanted the audit as it was written, got {found['broken']:,}"
            f" broken places; look there first: {first['reason']}",
            code="audit_broken",
        )
