"""`simorgh segments`."""

from pathlib import Path
from typing import Annotated

import typer

from simorgh.commands.options import All, AsJson, Data, Limit, group
from simorgh.commands.output import say, show, tell
from simorgh.commands.session import connect, json_file, path_of

commands = group("Segments.")

SegmentId = Annotated[str, typer.Argument(help="The segment's id.")]


@commands.command("list")
def list_(data: Data = None, as_json: AsJson = False) -> None:
    """List the segments with their sizes."""
    with connect(data) as api:
        show(api.get("/v1/segments"), ("id", "name", "size", "version", "state"), as_json=as_json)


@commands.command("show")
def show_(segment_id: SegmentId, data: Data = None, as_json: AsJson = False) -> None:
    """Show a segment with its rule."""
    with connect(data) as api:
        tell(api.get(path_of("segments", segment_id)), as_json=as_json)


@commands.command()
def create(
    file: Annotated[Path, typer.Argument(help="A JSON file: id, name, rule.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Declare a segment; it is live and back-filled when the command returns."""
    body = json_file(file)
    with connect(data) as api:
        tell(api.post("/v1/segments", body), as_json=as_json)


@commands.command()
def update(
    segment_id: SegmentId,
    file: Annotated[Path, typer.Argument(help="A JSON file: rule, and name if it changes.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Change a segment's rule or name; its members are those of the new rule when the command returns."""
    body = json_file(file)
    with connect(data) as api:
        tell(api.put(path_of("segments", segment_id), body), as_json=as_json)


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


@commands.command()
def delete(segment_id: SegmentId, data: Data = None) -> None:
    """Delete a segment; its members leave it."""
    with connect(data) as api:
        api.delete(path_of("segments", segment_id))
    say("deleted")
