"""`simorgh triggers`: webhooks on segments."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from simorgh.commands.options import All, AsJson, Data, Limit, group
from simorgh.commands.output import Json, say, show, tell
from simorgh.commands.session import Api, connect, json_file, path_of

commands = group("Triggers: webhooks that are called when a profile enters or leaves a segment.")

TriggerId = Annotated[str, typer.Argument(help="The trigger's id.")]
_COLUMNS = ("id", "segment", "on", "enabled", "url")


@commands.command("list")
def list_(data: Data = None, as_json: AsJson = False) -> None:
    """List the triggers; secrets are masked."""
    with connect(data) as api:
        answer = api.get("/v1/triggers")
    if not as_json:
        answer = {**answer, "items": [{**one, "url": one["webhook"]["url"]} for one in answer["items"]]}
    show(answer, _COLUMNS, as_json=as_json)


@commands.command("show")
def show_(trigger_id: TriggerId, data: Data = None, as_json: AsJson = False) -> None:
    """Show a trigger; its secret is masked."""
    with connect(data) as api:
        tell(api.get(path_of("triggers", trigger_id)), as_json=as_json)


@commands.command()
def create(
    file: Annotated[Path, typer.Argument(help="A JSON file: segment, webhook; optionally id, on, enabled.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Declare a trigger. Its secret is shown only once."""
    body = json_file(file)
    with connect(data) as api:
        tell(api.post("/v1/triggers", body), as_json=as_json)


@commands.command()
def update(
    trigger_id: TriggerId,
    file: Annotated[
        Path, typer.Argument(help="A JSON file with the whole trigger; it keeps its secret unless the file has one.")
    ],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Replace a trigger."""
    body = json_file(file)
    with connect(data) as api:
        tell(api.put(path_of("triggers", trigger_id), body), as_json=as_json)


@commands.command()
def pause(trigger_id: TriggerId, data: Data = None) -> None:
    """Pause a trigger: it calls no webhook until it is resumed."""
    with connect(data) as api:
        _enable(api, trigger_id, enabled=False)
    say("paused")


@commands.command()
def resume(trigger_id: TriggerId, data: Data = None) -> None:
    """Resume a trigger. Changes during the pause are not reported afterwards."""
    with connect(data) as api:
        _enable(api, trigger_id, enabled=True)
    say("resumed")


@commands.command()
def delete(trigger_id: TriggerId, data: Data = None) -> None:
    """Delete a trigger; its deliveries stay on record."""
    with connect(data) as api:
        api.delete(path_of("triggers", trigger_id))
    say("deleted")


@commands.command()
def deliveries(
    trigger_id: TriggerId,
    status: Annotated[
        Literal["pending", "delivered", "gave_up"] | None, typer.Option(help="Only deliveries in this state.")
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


def _enable(api: Api, trigger_id: str, *, enabled: bool) -> None:
    path = path_of("triggers", trigger_id)
    now: dict[str, Json] = api.get(path)
    kept = {name: value for name, value in now.items() if name not in ("id", "created_at", "webhook")}
    # without a secret, the trigger keeps its own
    webhook = {name: value for name, value in now["webhook"].items() if name != "secret"}
    api.put(path, {**kept, "webhook": webhook, "enabled": enabled})
