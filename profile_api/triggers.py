"""Triggers: webhooks called when a profile enters or leaves a segment, and what became of each call."""

import secrets
from typing import Annotated, Any, Literal

from fastapi import Query, Response

from destinations.senders.declared import checked_webhook
from profile_api import permits, views
from profile_api.auth import Caller, scope
from profile_api.call import note
from profile_api.cursors import read_cursor, write_cursor
from profile_api.declaring import TRIGGERS
from profile_api.deps import ApiDeps, Deps
from profile_api.models.examples import example
from profile_api.models.segments import Deliveries, TriggerPage
from profile_api.models.segments import TriggerView as TriggerAnswer
from profile_api.params import Cursor, Limit, Name
from profile_api.replies import JsonReply, page
from profile_api.requests import TriggerChange, TriggerIn, WebhookIn
from profile_api.routes import guarded
from profile_api.turns import declares, reads_much
from registry.models import Trigger
from registry.scopes import READ, WRITE
from schemas.clock import iso
from schemas.errors import InvalidInput

MASK = "whsec_********"

_DELIVERIES = """SELECT id, trigger, status, attempts, toUnixTimestamp64Milli(next_at) AS next_ms,
    toUnixTimestamp64Milli(created_at) AS created_ms, toUnixTimestamp64Milli(updated_at) AS updated_ms,
    response_code, error, body
FROM deliveries FINAL WHERE trigger = {trigger:String} AND ({status:String} = '' OR status = {status:String})
  AND (toUnixTimestamp64Milli(created_at), id) < ({ms:Int64}, {id:String})
ORDER BY created_at DESC, id DESC LIMIT {limit:UInt32}"""


def view(trigger: Trigger, secret: str = MASK) -> dict[str, Any]:
    return {
        "id": trigger.id,
        "segment": trigger.segment,
        "on": list(trigger.on),
        "causes": list(trigger.causes),
        "webhook": {"url": trigger.webhook.url, "secret": secret},
        "purpose": trigger.purpose,
        "enabled": trigger.enabled,
        "created_at": iso(trigger.created_at),
    }


def put(deps: ApiDeps, name: str, body: TriggerIn | TriggerChange, webhook: dict[str, str], by: str) -> Trigger:
    """Declare a trigger. Raises `InvalidInput` for a segment or a purpose that is not there."""
    if body.segment not in deps.registry.segments:
        raise InvalidInput("segment: wanted one that exists, got another id; declare it first", code="unknown_segment")
    on, causes = list(dict.fromkeys(body.on)), list(dict.fromkeys(body.causes))
    declared = {
        "segment": body.segment,
        "on": on,
        "causes": causes,
        "webhook": webhook,
        "purpose": permits.checked(deps, body.purpose),
        "enabled": body.enabled,
    }
    return TRIGGERS.put(deps, name, declared, by)


def checked(deps: ApiDeps, webhook: WebhookIn, known_secret: str | None = None) -> dict[str, str]:
    """The webhook to store; an absent secret is the known one, or a fresh one. Raises `InvalidInput` for a refused
    URL."""
    given = {"url": webhook.url}
    if secret := webhook.secret or known_secret:
        given["secret"] = secret
    return checked_webhook(given, allow_private=deps.allow_private_webhooks)


def deliveries(deps: ApiDeps, name: str, limit: int, cursor: str | None, status: str) -> dict[str, Any]:
    """A page of a trigger's deliveries, latest first."""
    ms, last = read_cursor(deps.secret, "deliveries", cursor, (int, str)) if cursor else (1 << 62, "")
    rows = deps.reader.rows(_DELIVERIES, {"trigger": name, "status": status, "ms": ms, "id": last, "limit": limit + 1})
    shown = rows[:limit]
    note(others=len(shown))
    more = len(rows) > limit
    following = write_cursor(deps.secret, "deliveries", (shown[-1]["created_ms"], shown[-1]["id"])) if more else None
    return page([views.delivery_view(row) for row in shown], following)


routes = guarded("triggers", "/v1/triggers")


@routes.get("", response_model=TriggerPage, responses=example(TriggerPage))
@scope(READ)
def list_triggers(deps: Deps) -> JsonReply:
    """List all triggers by id, with masked secrets."""
    return TRIGGERS.listed(deps, view)


@routes.post(
    "",
    status_code=201,
    response_model=TriggerAnswer,
    responses=example(TriggerAnswer, 201, "With its secret, which is shown only once."),
)
@scope(WRITE)
@declares
def create_trigger(deps: Deps, body: TriggerIn, by: Caller) -> JsonReply:
    """Declare a trigger. Only this answer shows the secret of the webhook."""
    name = body.id or f"trg_{secrets.token_hex(6)}"
    TRIGGERS.require_new(deps, name)
    webhook = checked(deps, body.webhook)
    return JsonReply(view(put(deps, name, body, webhook, by), webhook["secret"]), 201)


@routes.get("/{name}", response_model=TriggerAnswer, responses=example(TriggerAnswer))
@scope(READ)
def one_trigger(deps: Deps, name: Name) -> JsonReply:
    """Return a trigger, with a masked secret."""
    return JsonReply(view(TRIGGERS.found(deps, name)))


@routes.put("/{name}", response_model=TriggerAnswer, responses=example(TriggerAnswer))
@scope(WRITE)
@declares
def change_trigger(deps: Deps, name: Name, body: TriggerChange, by: Caller) -> JsonReply:
    """Replace a trigger. Without a secret it keeps its own."""
    known = TRIGGERS.to_change(deps, name, body.id)
    webhook = checked(deps, body.webhook, known.webhook.secret.get_secret_value())
    return JsonReply(view(put(deps, name, body, webhook, by)))


@routes.delete(
    "/{name}", status_code=204, responses={204: {"description": "Deleted. Its webhook is no longer called."}}
)
@scope(WRITE)
@declares
def delete_trigger(deps: Deps, name: Name, by: Caller) -> Response:
    """Delete a trigger. Its deliveries stay on record."""
    return TRIGGERS.delete(deps, name, by)


@routes.get("/{name}/deliveries", response_model=Deliveries, responses=example(Deliveries))
@scope(READ)
@reads_much
def trigger_deliveries(
    deps: Deps,
    name: Name,
    status: Annotated[
        Literal["pending", "delivered", "gave_up", "refused"] | None,
        Query(description="Only deliveries in this state."),
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> JsonReply:
    """List the deliveries of a trigger and their outcomes, latest first."""
    TRIGGERS.found(deps, name)
    return JsonReply(deliveries(deps, name, limit, cursor, status or ""))
