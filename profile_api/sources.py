"""Sources and their write keys: who may send events."""

from typing import Annotated, Any

from fastapi import Depends, Response

from profile_api.activity import Activity
from profile_api.auth import Caller, scope
from profile_api.declaring import SOURCES
from profile_api.deps import ApiDeps, Deps, one_per_app
from profile_api.models.examples import example
from profile_api.models.keys import NewKey, SourcePage
from profile_api.models.keys import SourceView as SourceAnswer
from profile_api.params import Name
from profile_api.replies import JsonReply
from profile_api.routes import guarded
from profile_api.source_requests import SourceChange, SourceIn
from registry.keys import beginning, new_write_key, sha256_hex
from registry.models import KeyNote, Source
from registry.scopes import ADMIN
from schemas.clock import iso
from schemas.errors import Conflict, NotFound

_KEYS = 2
"""So that a key can be changed without a gap."""
_SHOWN = 12


def view(source: Source) -> dict[str, Any]:
    """A source; of each key only its id and first characters, the older key first."""
    shown = source.model_dump(mode="json", exclude={"write_key_sha256", "key_notes", "secrets"})
    return shown | {"keys": [_key_view(source, digest) for digest in source.write_key_sha256]}


def _key_view(source: Source, digest: str) -> dict[str, Any]:
    """`id` is a fingerprint, to delete the key by."""
    note = source.key_notes.get(digest)
    created = None if note is None else iso(note.created_at)
    return {"id": digest[:_SHOWN], "begins": note.begins if note else None, "created_at": created}


def settings(deps: ApiDeps, body: SourceIn | SourceChange, known: Source | None = None) -> dict[str, Any]:
    """The declaration of a source with these settings and the keys and secrets of the `known` one. Without a channel it
    has that of its vendor. Raises `InvalidInput` for an unknown vendor, or settings that its connector cannot use."""
    kept = {} if known is None else known.model_dump(mode="json", include={"write_key_sha256", "key_notes", "secrets"})
    declared = body.model_dump(exclude={"id"}) | kept
    if body.vendor is not None:
        deps.vendors.check(body.vendor, declared["webhook"])
        if "channel" not in body.model_fields_set:
            declared["channel"] = deps.vendors.channel(body.vendor) or declared["channel"]
    return declared


def with_keys(deps: ApiDeps, source: Source, keys: tuple[str, ...], by: str, **new: KeyNote) -> Source:
    """Let a source have these keys and no others. `new`: notes of those that it did not have, by digest."""
    notes = {digest: note.model_dump() for digest, note in {**source.key_notes, **new}.items() if digest in keys}
    changed = source.model_dump(mode="json") | {"write_key_sha256": keys, "key_notes": notes}
    return SOURCES.put(deps, source.id, changed, by)


ActivityOf = Annotated[Activity, Depends(one_per_app(Activity))]

routes = guarded("administration", "/v1/sources")


@routes.get("", response_model=SourcePage, responses=example(SourcePage))
@scope(ADMIN)
def list_sources(deps: Deps, activity: ActivityOf) -> JsonReply:
    """List all sources by id, with their settings, their numbers of events, and the time of their last event."""
    seen = activity.of_sources()
    return SOURCES.listed(deps, lambda source: view(source) | seen.of(source.id))


@routes.post("", status_code=201, response_model=SourceAnswer, responses=example(SourceAnswer, 201, "Declared."))
@scope(ADMIN)
def create_source(deps: Deps, body: SourceIn, by: Caller) -> JsonReply:
    """Declare a source. It accepts events once it has a key: `POST /v1/sources/{id}/keys`."""
    SOURCES.require_new(deps, body.id)
    return JsonReply(view(SOURCES.put(deps, body.id, settings(deps, body), by)), 201)


@routes.get("/{name}", response_model=SourceAnswer, responses=example(SourceAnswer))
@scope(ADMIN)
def one_source(deps: Deps, name: Name, activity: ActivityOf) -> JsonReply:
    """Return a source with its settings and its numbers of events."""
    return JsonReply(view(SOURCES.found(deps, name)) | activity.of_sources().of(name))


@routes.put("/{name}", response_model=SourceAnswer, responses=example(SourceAnswer))
@scope(ADMIN)
def change_source(deps: Deps, name: Name, body: SourceChange, by: Caller) -> JsonReply:
    """Replace the settings of a source. Its keys stay."""
    changed = settings(deps, body, SOURCES.found(deps, name))
    return JsonReply(view(SOURCES.put(deps, name, changed, by)))


@routes.delete("/{name}", status_code=204, responses={204: {"description": "Deleted. Its keys no longer work."}})
@scope(ADMIN)
def delete_source(deps: Deps, name: Name, by: Caller) -> Response:
    """Delete a source and its keys. Its events stay."""
    return SOURCES.delete(deps, name, by)


@routes.post("/{name}/keys", status_code=201, response_model=NewKey, responses=example(NewKey, 201, "Shown once."))
@scope(ADMIN)
def create_key(deps: Deps, name: Name, by: Caller) -> JsonReply:
    """Create a write key. Only this answer shows it. A source has at most two."""
    source = SOURCES.found(deps, name)
    if len(source.write_key_sha256) >= _KEYS:
        raise Conflict(f"source: wanted at most {_KEYS} keys, got one more; delete one first", code="too_many_keys")
    key = new_write_key()
    digest = sha256_hex(key)
    note = KeyNote(created_at=deps.clock(), begins=beginning(key))
    changed = with_keys(deps, source, (*source.write_key_sha256, digest), by, **{digest: note})
    return JsonReply(_key_view(changed, digest) | {"source": name, "write_key": key}, 201)


@routes.delete(
    "/{name}/keys/{key_id}", status_code=204, responses={204: {"description": "Deleted. It no longer works."}}
)
@scope(ADMIN)
def delete_key(deps: Deps, name: Name, key_id: Name, by: Caller) -> Response:
    """Delete a write key by its id, which the source lists."""
    source = SOURCES.found(deps, name)
    kept = tuple(digest for digest in source.write_key_sha256 if digest[:_SHOWN] != key_id)
    if len(kept) == len(source.write_key_sha256):
        raise NotFound("key: wanted the id of one of the source's keys, got another; see its keys")
    with_keys(deps, source, kept, by)
    return Response(status_code=204)
