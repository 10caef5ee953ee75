"""`simorgh keys`: API tokens."""

from typing import Annotated

import typer

from simorgh.commands.options import AsJson, Data, group
from simorgh.commands.output import tell
from simorgh.commands.resource import ResourceCommands
from simorgh.commands.session import connect
from simorgh.commands.times import later

commands = group("API tokens.")

tokens = ResourceCommands(commands, "token", where=", as in `simorgh keys list`")
tokens.list("List the API tokens, without their secrets.", ("id", "name", "scopes", "expires_at"))


@commands.command()
def create(
    name: Annotated[str, typer.Argument(help="A name for the token.")],
    scopes: Annotated[str, typer.Option(help="Comma-separated: read,write,steward,audit,admin,personal.")] = "read",
    expires: Annotated[
        str | None, typer.Option(help="When it stops working: 90d, 12h, or a time such as 2030-01-31T00:00:00Z.")
    ] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Create an API token; it is shown only once."""
    body: dict[str, object] = {"name": name, "scopes": [part for s in scopes.split(",") if (part := s.strip())]}
    if expires:
        body["expires_at"] = later(expires)
    with connect(data) as api:
        tell(api.post("/v1/tokens", body), as_json=as_json)


tokens.delete("Delete an API token; it stops working at once.")
