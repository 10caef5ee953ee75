"""Sources and their write keys: who may send events."""

from typing import Any

from fastapi import APIRouter, Response

from profile_api.activity import Activity
from profile_api.auth import Caller, scope
from profile_api.deps import ApiDeps
from profile_api.models.examples import example
from profile_api.models.keys import NewKey, SourcePage
from profile_api.models.keys import Source as SourceAnswer
from profile_api.params import Name
from profile_api.replies import JsonReply, page
from profile_api.requests import SourceChange, SourceIn
from registry.keys import beginning, new_write_key, sha256_hex
from registry.models import KeyNote, Source
from registry.scopes import ADMIN
from schemas.clock import iso
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
    """A source; of its keys only what tells them apart, the older one first."""
    shown = source.model_dump(mode="json", exclude={"write_key_sha256", "key_notes"})
    return shown | {"keys": [_key_view(source, digest) for digest in source.write_key_sha256]}


def _key_view(source: Source, digest: str) -> dict[str, Any]:
    """`id` is a fingerprint, to delete the key by."""
    note = source.key_notes.get(digest)
    created = None if note is None else iso(note.created_at)
    return {"id": digest[:_SHOWN], "begins": note.begins if note else None, "created_at": created}


def put(deps: ApiDeps, name: str, body: SourceIn | SourceChange, by: str, known: Source | None = None) -> Source:
    """Declare a source with these settings, and the keys of the `known` one."""
    kept = {} if known is None else known.model_dump(mode="json", include={"write_key_sha256", "key_notes"})
    settings = body.model_dump(exclude={"id"}) | kept
    deps.registry.declare("source", name, settings, by)
    return found(deps, name)


def with_keys(deps: ApiDeps, source: Source, keys: tuple[str, ...], by: str, **new: KeyNote) -> None:
    """Let a source have these keys and no others. `new`: notes of those that it did not have, by digest."""
    notes = {digest: note.model_dump() for digest, note in {**source.key_notes, **new}.items() if digest in keys}
    settings = source.model_dump(mode="json") | {"write_key_sha256": keys, "key_notes": notes}
    deps.registry.declare("source", source.id, settings, by)


def router(deps: ApiDeps) -> APIRouter:
    routes = APIRouter(prefix="/v1/sources", tags=["administration"])
    activity = Activity(deps)

    @routes.get("", response_model=SourcePage, responses=example(SourcePage))
    @scope(ADMIN)
    def list_sources() -> JsonReply:
        """Every source with its settings, by id, and what came of it: who has fallen silent?"""
        declared = sorted(deps.registry.sources.values(), key=lambda source: source.id)
        seen = activity.of_sources()
        return JsonReply(page([view(source) | seen.of(source.id) for source in declared]))

    @routes.post("", status_code=201, response_model=SourceAnswer, responses=example(SourceAnswer, 201, "Declared."))
    @scope(ADMIN)
    def create_source(body: SourceIn, by: Caller) -> JsonReply:
        """Declare a source. It takes events once it has a key: `POST /v1/sources/{id}/keys`."""
        if body.id in deps.registry.sources:
            raise Conflict("A source with this id exists: PUT changes it.", code="exists")
        return JsonReply(view(put(deps, body.id, body, by)), 201)

    @routes.get("/{name}", response_model=SourceAnswer, responses=example(SourceAnswer))
    @scope(ADMIN)
    def one_source(name: Name) -> JsonReply:
        """One source with its settings, and what came of it."""
        return JsonReply(view(found(deps, name)) | activity.of_sources().of(name))

    @routes.put("/{name}", response_model=SourceAnswer, responses=example(SourceAnswer))
    @scope(ADMIN)
    def change_source(name: Name, body: SourceChange, by: Caller) -> JsonReply:
        """Change a source's settings; its keys stay."""
        return JsonReply(view(put(deps, name, body, by, found(deps, name))))

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
        note = KeyNote(created_at=deps.clock(), begins=beginning(key))
        with_keys(deps, source, (*source.write_key_sha256, digest), by, **{digest: note})
        return JsonReply(_key_view(found(deps, name), digest) | {"source": name, "write_key": key}, 201)

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
