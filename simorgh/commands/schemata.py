"""`simorgh schemas`: the contract."""

import typer

from simorgh.commands.options import AsJson, group
from simorgh.commands.output import say, show

commands = group("The contract: event schemas.")


@commands.command()
def check() -> None:
    """Compare the schemas with the published ones, which may not change or break compatibility."""
    from schemas.check import check_published

    problems = check_published()
    for problem in problems:
        say(str(problem))
    if problems:
        raise typer.Exit(1)
    say("schemas: in order")


@commands.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the event types."""
    from schemas.catalog import Catalog

    types = [
        {"type": event.type, "version": event.version, "event": event.name, "set": event.set}
        for event in Catalog.load().all()
    ]
    show({"items": types, "next_cursor": None}, ("type", "version", "event", "set"), as_json=as_json)
