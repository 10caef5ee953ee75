"""`simorgh sources`: sources, their write keys, and the secrets of their vendors."""

from pathlib import Path
from typing import Annotated

import typer

from schemas.errors import InvalidInput
from simorgh.commands.channels import checked_channel
from simorgh.commands.options import AsJson, Data, group
from simorgh.commands.output import Json, say, show, tell
from simorgh.commands.resource import ResourceCommands
from simorgh.commands.secrets import commands as secret_commands
from simorgh.commands.secrets import recorded_request
from simorgh.commands.session import connect, path_of

commands = group("Sources of events and their write keys.")
key_commands = group("The write keys of a source: at most two, so that one can be changed without a gap.")
commands.add_typer(key_commands, name="key")
commands.add_typer(secret_commands, name="secret")

NewChannel = Annotated[bool, typer.Option("--new-channel", help="Allow a channel that is not among the known ones.")]
_GIVEN_BY_THE_API = ("id", "keys", "events", "rejected", "last_event_at")
"""Members of a source that are not settings."""


def _settings(shown: Json) -> Json:
    return {name: value for name, value in shown.items() if name not in _GIVEN_BY_THE_API}


sources = ResourceCommands(commands, "source", settings=_settings)
sources.list("List the sources.", ("id", "name", "channel", "vendor", "enabled", "unplanned"))
sources.show("Show a source with its settings.")

SourceId = Annotated[str, sources.id]


@commands.command()
def create(
    source_id: Annotated[str, typer.Argument(help="A short name, such as shop-web.")],
    channel: Annotated[
        str | None, typer.Option(help="web (the default), email, chat, social, pos, phone, feedback, server …")
    ] = None,
    vendor: Annotated[
        str | None, typer.Option(help="Whose webhook it receives, such as stripe; docs/channels.md.")
    ] = None,
    new_channel: NewChannel = False,
    unplanned: Annotated[str, typer.Option(help="Events without a schema: accept or reject.")] = "accept",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Declare a source and create its first write key, which is shown only once. A source for a vendor's webhook has
    the vendor's channel, and needs a secret instead of a key: `simorgh sources secret add`."""
    with connect(data) as api:
        if channel is not None and not new_channel:
            checked_channel(api, channel)
        given = {"channel": channel, "vendor": vendor}
        body = {"id": source_id, "name": source_id, "unplanned": unplanned}
        made = api.post("/v1/sources", body | {name: value for name, value in given.items() if value is not None})
        if vendor is not None:
            tell(made, as_json=as_json)
            return
        tell(api.post(path_of("sources", source_id, "keys")), as_json=as_json)


@commands.command()
def update(
    source_id: SourceId,
    settings: Annotated[
        list[str],
        typer.Argument(help="Such as currency=EUR; VALUE may be JSON.", metavar="NAME=VALUE"),
    ],
    new_channel: NewChannel = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Change settings of a source; the others stay."""
    changes = dict(_setting(one) for one in settings)
    with connect(data) as api:
        if "channel" in changes and not new_channel:
            checked_channel(api, str(changes["channel"]))
        tell(sources.change(api, source_id, changes), as_json=as_json)


sources.switch("disable", "Disable a source: its keys are refused until it is enabled.", enabled=False, done="disabled")
sources.switch("enable", "Enable a source, so that it can send again.", enabled=True, done="enabled")
sources.delete("Delete a source and its keys; its events stay.")


@commands.command("test")
def rehearse(
    source_id: SourceId,
    file: Annotated[Path, typer.Argument(help="A recorded request: JSON, or HTTP as text; see docs/channels.md.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Show what a recorded request of the source's vendor would become; nothing is stored."""
    body = recorded_request(file)
    with connect(data) as api:
        tell(api.post(path_of("sources", source_id, "test"), body), as_json=as_json)


@key_commands.command("list")
def list_keys(source_id: SourceId, data: Data = None, as_json: AsJson = False) -> None:
    """List a source's write keys by id, the oldest first; the keys themselves are not stored."""
    with connect(data) as api:
        keys = api.get(path_of("sources", source_id))["keys"]
    ages = ["old", "new"] if len(keys) == 2 else ["only"]
    # the API lists them in the order of their creation
    items = [{**key, "age": age} for key, age in zip(keys, ages, strict=False)]
    show({"items": items, "next_cursor": None}, ("id", "begins", "age", "created_at"), as_json=as_json)


@key_commands.command("add")
def add_key(source_id: SourceId, data: Data = None, as_json: AsJson = False) -> None:
    """Create another write key, which is shown only once."""
    with connect(data) as api:
        tell(api.post(path_of("sources", source_id, "keys")), as_json=as_json)


@key_commands.command("remove")
def remove_key(
    source_id: SourceId,
    key_id: Annotated[str, typer.Argument(help="The key's id, as in `simorgh sources key list`.")],
    data: Data = None,
) -> None:
    """Remove a write key; it is refused at once."""
    with connect(data) as api:
        api.delete(path_of("sources", source_id, "keys", key_id))
    say("removed")


def _setting(text: str) -> tuple[str, Json]:
    import orjson

    name, equals, value = text.partition("=")
    if not (name and equals):
        raise InvalidInput("sources: wanted NAME=VALUE, got another text; write settings as in currency=EUR")
    try:
        return name, orjson.loads(value)
    except orjson.JSONDecodeError:
        return name, value
