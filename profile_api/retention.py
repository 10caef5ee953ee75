"""How long events are kept. Every replay takes what is older out of the log, and so out of the tables."""

from typing import Any

from fastapi import Response

from profile_api.auth import Caller, scope
from profile_api.declaring import RETENTIONS
from profile_api.deps import Deps
from profile_api.models.examples import example
from profile_api.models.privacy import RetentionPage, RetentionView
from profile_api.params import Name
from profile_api.replies import JsonReply
from profile_api.requests import RetentionIn
from profile_api.routes import guarded
from registry.models import Retention
from registry.scopes import ADMIN, READ
from schemas.clock import iso


def view(retention: Retention) -> dict[str, Any]:
    return retention.model_dump(mode="json") | {"created_at": iso(retention.created_at)}


routes = guarded("privacy", "/v1/retentions")


@routes.get("", response_model=RetentionPage, responses=example(RetentionPage))
@scope(READ)
def list_retentions(deps: Deps) -> JsonReply:
    """List all retentions by id."""
    return RETENTIONS.listed(deps, view)


@routes.post("", status_code=201, response_model=RetentionView, responses=example(RetentionView, 201, "Declared."))
@scope(ADMIN)
def create_retention(deps: Deps, body: RetentionIn, by: Caller) -> JsonReply:
    """Declare how long events are kept. The next replay takes older events out of the log, which cannot be undone. On a
    cluster it leaves them out of the tables, and they stay in the log."""
    RETENTIONS.require_new(deps, body.id)
    return JsonReply(view(RETENTIONS.put(deps, body.id, body.model_dump(exclude={"id"}), by)), 201)


@routes.delete("/{name}", status_code=204, responses={204: {"description": "Deleted."}})
@scope(ADMIN)
def delete_retention(deps: Deps, name: Name, by: Caller) -> Response:
    """Delete a retention. Events that it has taken out do not come back."""
    RETENTIONS.found(deps, name)
    return RETENTIONS.delete(deps, name, by)
