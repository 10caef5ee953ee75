"""`simorgh triggers`: webhooks on segments."""

from typing import Annotated, Literal

import typer

from simorgh.commands.options import All, AsJson, Data, Limit, group
from simorgh.commands.output import Json, show
from simorgh.commands.resource import ResourceCommands
from simorgh.commands.session import connect, path_of

commands = group("Triggers: webhooks that are called when a profile enters or leaves a segment.")


def _settings(shown: Json) -> Json:
    """Without a secret it keeps its own; the one that is shown is a mask."""
    kept = {name: value for name, value in shown.items() if name not in ("id", "created_at")}
    return kept | {"webhook": {name: value for name, value in shown["webhook"].items() if name != "secret"}}


triggers = ResourceCommands(commands, "trigger", settings=_settings)
triggers.list(
    "List the triggers; secrets are masked.",
    ("id", "segment", "on", "enabled", "url"),
    lambda shown: {**shown, "url": shown["webhook"]["url"]},
)
triggers.show("Show a trigger; its secret is masked.")
triggers.create(
    "Declare a trigger. Its secret is shown once.",
    "A JSON file: segment, webhook; optionally id, on, causes, purpose, enabled.",
)
triggers.update("Replace a trigger.", "A JSON file with the whole trigger; without a secret it keeps its own.")
triggers.switch("pause", "Pause a trigger: it calls nobody until it is resumed.", enabled=False, done="paused")
triggers.switch(
    "resume",
    "Resume a trigger. It does not report the changes that happened while it was paused.",
    enabled=True,
    done="resumed",
)
triggers.delete("Delete a trigger; its deliveries stay on record.")

TriggerId = Annotated[str, triggers.id]


@commands.command()
def deliveries(
    trigger_id: TriggerId,
    status: Annotated[
        Literal["pending", "delivered", "gave_up", "refused"] | None,
        typer.Option(help="Only deliveries in this state."),
    ] = None,
    limit: Limit = 50,
    all_: All = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """List the calls and their outcomes, latest first."""
    with connect(data) as api:
        answer = api.listed(path_of("triggers", trigger_id, "deliveries"), None if all_ else limit, status=status)
    show(answer, ("id", "created_at", "status", "attempts", "response_code", "error", "next_at"), as_json=as_json)
