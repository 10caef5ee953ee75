"""`simorgh segments`."""

from pathlib import Path
from typing import Annotated

import typer

from simorgh.commands.options import All, AsJson, Data, Limit, group
from simorgh.commands.output import show, tell
from simorgh.commands.resource import ResourceCommands
from simorgh.commands.session import connect, json_file, path_of

commands = group("Segments.")

segments = ResourceCommands(commands, "segment")
segments.list("List the segments with their sizes.", ("id", "name", "size", "version", "state"))
segments.show("Show a segment with its rule.")
segments.create("Declare a segment; it is live and back-filled when this returns.", "A JSON file: id, name, rule.")
segments.update(
    "Change a segment's rule or name; its members are those of the new rule when this returns.",
    "A JSON file: rule, and name if it changes.",
)

SegmentId = Annotated[str, segments.id]


@commands.command()
def preview(
    file: Annotated[Path, typer.Argument(help="A JSON file with a rule, or a segment that has one.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Show how many profiles a rule would have now, and some of them. Declares nothing."""
    body = json_file(file)
    with connect(data) as api:
        tell(api.post("/v1/segments/preview", {"rule": body.get("rule", body)}), as_json=as_json)


@commands.command()
def members(
    segment_id: SegmentId, limit: Limit = 50, all_: All = False, data: Data = None, as_json: AsJson = False
) -> None:
    """List a segment's members, by profile id."""
    with connect(data) as api:
        answer = api.listed(path_of("segments", segment_id, "members"), None if all_ else limit)
    show(answer, ("profile_id", "entered_at"), as_json=as_json)


@commands.command()
def why(
    segment_id: SegmentId,
    profile: Annotated[str, typer.Argument(help="A profile id, or type:value.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Explain why a profile is or is not in a segment: the truth of each part of the rule, with its evidence."""
    with connect(data) as api:
        tell(api.get(path_of("segments", segment_id, "why", profile)), as_json=as_json)


segments.delete("Delete a segment; its members leave it.")
