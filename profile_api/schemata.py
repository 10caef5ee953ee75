"""The contract in the API: event types, their JSON Schemas, and unplanned custom types."""

from typing import Annotated, Any

from fastapi import Query

from profile_api.auth import scope
from profile_api.deps import ApiDeps, Deps
from profile_api.models.examples import example
from profile_api.models.operations import Anything, Items
from profile_api.params import Name
from profile_api.replies import JsonReply, page
from profile_api.routes import guarded
from profile_api.turns import reads_much
from registry.scopes import READ
from schemas.catalog import Catalog, EventType
from schemas.clock import iso
from schemas.errors import NotFound

_UNPLANNED = """SELECT type, count() AS events, toUnixTimestamp64Milli(max(time)) AS last_ms FROM events
WHERE startsWith(type, 'custom.') GROUP BY type ORDER BY events DESC, type LIMIT 1000"""


def type_view(event: EventType) -> dict[str, Any]:
    return {
        "id": event.dataschema,
        "type": event.type,
        "version": event.version,
        "name": event.name,
        "set": event.set,
        "business_key": event.business_key,
        "personal": sorted(event.personal),
    }


def unplanned(deps: ApiDeps) -> list[dict[str, Any]]:
    """Custom types that have been seen, the commonest first."""
    rows = deps.reader.rows(_UNPLANNED)
    return [{"type": row["type"], "events": row["events"], "last_seen": iso(row["last_ms"])} for row in rows]


routes = guarded("schemas", "/v1/schemas")
catalog = Catalog.load()


@routes.get("", response_model=Items, responses=example(Items))
@scope(READ)
@reads_much
def list_schemas(
    deps: Deps,
    show_unplanned: Annotated[
        bool,
        Query(alias="unplanned", description="List the custom types that were seen instead, with their counts."),
    ] = False,
) -> JsonReply:
    """List all event types of the contract, in their newest versions."""
    return JsonReply(page(unplanned(deps) if show_unplanned else [type_view(event) for event in catalog.all()]))


@routes.get("/{name:path}", response_model=Anything, responses=example(Anything))
@scope(READ)
def one_schema(name: Name) -> JsonReply:
    """Return the JSON Schema of an event type such as `order.completed`."""
    schema = catalog.schema(name)
    if schema is None:
        raise NotFound("event type: wanted one of the contract, got another name; see /v1/schemas")
    return JsonReply(dict(schema))
