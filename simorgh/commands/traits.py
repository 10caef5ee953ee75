"""`simorgh traits`."""

from typing import Annotated

import typer

from schemas.errors import InvalidInput
from segments.shipped import SHIPPED, ZONED
from simorgh.commands.options import AsJson, Data, group
from simorgh.commands.output import show, tell
from simorgh.commands.resource import ResourceCommands
from simorgh.commands.session import connect, path_of

commands = group("Computed traits.")

traits = ResourceCommands(commands, "trait")
traits.list("List the computed traits.", ("id", "name", "version", "state"))
traits.show("Show a computed trait with what it is made of.")
traits.create("Declare a computed trait; profiles show it when this returns.", "A JSON file: id, name, compute.")
traits.update(
    "Change what a trait is made of, or its title; profiles show the new values when this returns.",
    "A JSON file: compute, and name if it changes.",
)


@commands.command()
def why(
    trait_id: Annotated[str, traits.id],
    profile: Annotated[str, typer.Argument(help="A profile id, or type:value.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Explain a profile's value of a computed trait: the events that count, or the rules that decide."""
    with connect(data) as api:
        tell(api.get(path_of("traits", trait_id, "why", profile)), as_json=as_json)


@commands.command()
def shipped(as_json: AsJson = False) -> None:
    """List the traits that are ready to be added."""
    items = [{"id": name, "name": title, "compute": compute} for name, (title, compute) in SHIPPED.items()]
    show({"items": items, "next_cursor": None}, ("id", "name"), as_json=as_json)


@commands.command()
def add(
    names: Annotated[list[str], typer.Argument(help="Ids of shipped traits; see `simorgh traits shipped`.")],
    zone: Annotated[str, typer.Option(help="The time zone whose days and hours count, such as Asia/Tehran.")] = "UTC",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Declare shipped traits; profiles show them when this returns. `simorgh traits delete` switches one off."""
    if unknown := [name for name in names if name not in SHIPPED]:
        raise InvalidInput(
            f"traits add: wanted ids of shipped traits, got {len(unknown)} that are not; see `simorgh traits shipped`"
        )
    with connect(data) as api:
        for name in names:
            title, compute = SHIPPED[name]
            zoned = {"zone": zone} if name in ZONED else {}
            body = {"id": name, "name": title, "compute": {**compute, **zoned}}
            tell(api.post("/v1/traits", body), as_json=as_json)


traits.delete("Delete a computed trait; what was sent under its name is seen again.")
