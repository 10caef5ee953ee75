"""Sources and their write keys: who may send events."""

from typing import Any

from fastapi import APIRouter, Response

from profile_api.auth import Caller, scope
from profile_api.deps import ApiDeps
from profile_api.models.examples import example
from profile_api.models.keys import NewKey, SourcePage
from profile_api.models.keys import Source as SourceAnswer
from profile_api.params import Name
from profile_api.replies import JsonReply, page
from profile_api.requests import SourceChange, SourceIn
from registry.keys import new_write_key, sha256_hex
from registry.models import Source
from registry.scopes import ADMIN
from schemas.errors import Conflict, NotFound

_KEYS = 2
"""So that a key can be changed without a gap."""
_SHOWN = 12


def found(deps: ApiDeps, name: str) -> Source:
    source = deps.registry.sources.get(name)
    if source is None:
        raise NotFound("No source has this id: see /v1/sources.")
    return source


def view(source: Source) -> dict[str, Any]:
    """A source; of its keys only a fingerprint, to delete them by."""
    shown = source.model_dump(mode="json", exclude={"write_key_sha256"})
    return shown | {"keys": [{"id": digest[:_SHOWN]} for digest in source.write_key_sha256]}


def put(deps: ApiDeps, name: str, body: SourceIn | SourceChange, keys: tuple[str, ...], by: str) -> Source:
    settings = body.model_dump(exclude={"id"}) | {"write_key_sha256": keys}
    deps.registry.declare("source", name, settings, by)
    return found(deps, name)


def with_keys(deps: ApiDeps, source: Source, keys: tuple[str, ...], by: str) -> None:
    settings = source.model_dump(mode="json") | {"write_key_sha256": keys}
    deps.registry.declare("source", source.id, settings, by)


def router(deps: ApiDeps) -> APIRouter:
    routes = APIRouter(prefix="/v1/sources", tags=["administration"])

    @routes.get("", response_model=SourcePage, responses=example(SourcePage))
    @scope(ADMIN)
    def list_sources() -> JsonReply:
        """Every source with its settings, by id."""
        declared = sorted(deps.registry.sources.values(), key=lambda source: source.id)
        return JsonReply(page([view(source) for source in declared]))

    @routes.post("", status_code=201, response_model=SourceAnswer, responses=example(SourceAnswer, 201, "Declared."))
    @scope(ADMIN)
    def create_source(body: SourceIn, by: Caller) -> JsonReply:
        """Declare a source. It takes events once it has a key: `POST /v1/sources/{id}/keys`."""
        if body.id in deps.registry.sources:
            raise Conflict("A source with this id exists: PUT changes it.", code="exists")
        return JsonReply(view(put(deps, body.id, body, (), by)), 201)

    @routes.get("/{name}", response_model=SourceAnswer, responses=example(SourceAnswer))
    @scope(ADMIN)
    def one_source(name: Name) -> JsonReply:
        """One source with its settings."""
        return JsonReply(view(found(deps, name)))

    @routes.put("/{name}", response_model=SourceAnswer, responses=example(SourceAnswer))
    @scope(ADMIN)
    def change_source(name: Name, body: SourceChange, by: Caller) -> JsonReply:
        """Change a source's settings; its keys stay."""
        known = found(deps, name)
        return JsonReply(view(put(deps, name, body, known.write_key_sha256, by)))

    @routes.delete("/{name}", status_code=204, responses={204: {"description": "Its keys open nothing any more."}})
    @scope(ADMIN)
    def delete_source(name: Name, by: Caller) -> Response:
        """Delete a source with its keys; its events stay."""
        found(deps, name)
        deps.registry.withdraw("source", name, by)
        return Response(status_code=204)

    @routes.post("/{name}/keys", status_code=201, response_model=NewKey, responses=example(NewKey, 201, "Shown once."))
    @scope(ADMIN)
    def create_key(name: Name, by: Caller) -> JsonReply:
        """Make a write key. It is shown this once; a source has at most two."""
        source = found(deps, name)
        if len(source.write_key_sha256) >= _KEYS:
            raise Conflict(f"A source has at most {_KEYS} keys: delete one first.", code="too_many_keys")
        key = new_write_key()
        digest = sha256_hex(key)
        with_keys(deps, source, (*source.write_key_sha256, digest), by)
        return JsonReply({"id": digest[:_SHOWN], "source": name, "write_key": key}, 201)

    @routes.delete("/{name}/keys/{key_id}", status_code=204, responses={204: {"description": "It opens nothing now."}})
    @scope(ADMIN)
    def delete_key(name: Name, key_id: Name, by: Caller) -> Response:
        """Delete a write key by its id, the fingerprint that the source shows."""
        source = found(deps, name)
        kept = tuple(digest for digest in source.write_key_sha256 if digest[:_SHOWN] != key_id)
        if len(kept) == len(source.write_key_sha256):
            raise NotFound("The source has no key with this id: see its keys.")
        with_keys(deps, source, kept, by)
        return Response(status_code=204)

    return routes
