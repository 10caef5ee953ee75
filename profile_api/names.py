"""`GET /v1/seen`: names of event types, properties, traits and identifiers that were really seen, and their values."""

from typing import Annotated, Any

from fastapi import Depends, Query

from profile_api.auth import scope
from profile_api.call import masks, require_personal
from profile_api.deps import one_per_app
from profile_api.models.examples import example
from profile_api.models.operations import SeenPage
from profile_api.replies import JsonReply, page
from profile_api.routes import guarded
from profile_api.seen import Of, Path, Seen
from profile_api.turns import reads_much
from registry.scopes import READ
from schemas.errors import InvalidInput

_MOST_PARTS = 8

SeenOf = Annotated[Seen, Depends(one_per_app(Seen))]


def names(seen: Seen, of: Of, event_type: str) -> list[dict[str, Any]]:
    if of == "properties":
        _require_type(event_type)
    return [{"name": name} for name in seen.names(of, event_type) if _may_be_told(of, name, event_type)]


def _may_be_told(of: Of, name: str, event_type: str) -> bool:
    """A name that nobody has declared may be anything."""
    hiding = masks()
    if hiding is None or of not in ("traits", "properties", "consents"):
        return True
    if of == "consents":
        return hiding.purpose(name) == name
    return hiding.is_declared(("traits", *name.split(".")) if of == "traits" else _path(name), event_type)


def values(seen: Seen, of: Of, event_type: str, name: str) -> list[dict[str, Any]]:
    """Raises `InvalidInput` for a kind without values."""
    match of:
        case "traits":
            _require_open(("traits", name), "")
            found = seen.values((name,), None)
        case "properties":
            _require_type(event_type)
            _require_open(_path(name), event_type)
            found = seen.values(_path(name), event_type)
        case _:
            raise InvalidInput(
                "name: wanted of=traits or of=properties beside it, got another; only these have values: leave it out",
                code="no_values",
            )
    return [{"value": value, "count": count} for value, count in found]


def _require_open(path: Path, event_type: str) -> None:
    """Raises `Denied` where whoever asks may not see these values."""
    hiding = masks()
    if hiding is not None and not hiding.is_open(path, event_type):
        require_personal("values")


def _require_type(event_type: str) -> None:
    if not event_type:
        raise InvalidInput(
            "type: wanted the event type whose properties are meant, got none; name one, such as type=order.completed",
            code="missing_type",
        )


def _path(name: str) -> Path:
    """From an envelope's root; as in rules, `context.page.url` and `currency`."""
    parts = tuple(name.split("."))
    if len(parts) > _MOST_PARTS:
        raise InvalidInput(
            f"name: wanted a path of at most {_MOST_PARTS} parts, got a longer one; shorten it",
            code="invalid_path",
        )
    return parts if parts[0] in ("properties", "context") and len(parts) > 1 else ("properties", *parts)


routes = guarded("schemas")


@routes.get("/v1/seen", response_model=SeenPage, responses=example(SeenPage))
@scope(READ)
@reads_much
def seen_names(
    seen: SeenOf,
    of: Annotated[Of, Query(description="The kind of names.")],
    event_type: Annotated[
        str,
        Query(
            alias="type",
            max_length=200,
            description="With `of=properties`, the event type.",
            examples=["order.completed"],
        ),
    ] = "",
    name: Annotated[
        str,
        Query(
            max_length=500,
            description="A trait or a property. Lists its values instead, up to 100, the most frequent first.",
            examples=["currency"],
        ),
    ] = "",
) -> JsonReply:
    """List the names of event types, properties, traits, consents or identifiers in past events, or the values of one.

    Properties and values come from a sample. An answer may be half a minute old.
    """
    return JsonReply(page(values(seen, of, event_type, name) if name else names(seen, of, event_type)))
