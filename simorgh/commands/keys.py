"""`simorgh keys`: API tokens."""

from typing import Annotated

import typer

from simorgh.commands.options import AsJson, Data, group
from simorgh.commands.output import say, show, tell
from simorgh.commands.session import connect, path_of
from simorgh.commands.times import later

commands = group("API tokens.")

TokenId = Annotated[str, typer.Argument(help="The token's id, as in `simorgh keys list`.")]


@commands.command("list")
def list_(data: Data = None, as_json: AsJson = False) -> None:
    """List the API tokens, without their secrets."""
    with connect(data) as api:
        show(api.get("/v1/tokens"), ("id", "name", "scopes", "expires_at"), as_json=as_json)


@commands.command()
def create(
    name: Annotated[str, typer.Argument(help="A name for the token.")],
    scopes: Annotated[str, typer.Option(help="Comma-separated: read,write,steward,admin.")] = "read",
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


@commands.command()
def delete(token_id: TokenId, data: Data = None) -> None:
    """Delete an API token; it stops working at once."""
    with connect(data) as api:
        api.delete(path_of("tokens", token_id))
    say("deleted")
