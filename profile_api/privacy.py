"""Requests about people's own data: to be forgotten, and how far that is."""

import heapq
from collections.abc import Sequence
from operator import attrgetter
from typing import Annotated, Any

from fastapi import Path

from identity.nodes import from_hex, to_hex
from profile_api import people
from profile_api.auth import Caller, scope
from profile_api.call import note
from profile_api.cursors import read_cursor, write_cursor
from profile_api.declaring import reached
from profile_api.deps import ApiDeps, Deps
from profile_api.models.examples import example
from profile_api.models.privacy import ErasedMany, ErasureList, ErasureView
from profile_api.params import Cursor, Limit, ProfileKey
from profile_api.replies import JsonReply, page
from profile_api.requests import EraseIn, EraseManyIn, PrivacyRequestIn, ReturningIn
from profile_api.routes import guarded
from profile_api.turns import declares
from registry.erasures import Erasure, Returning
from registry.scopes import STEWARD
from schemas.clock import iso, random_id
from schemas.errors import Conflict, NotFound


def erase(
    deps: ApiDeps, key: str, reason: str, by: str, id: str | None = None, returning: Returning | None = None
) -> Erasure:
    """Forget the person whose profile this is. Blocks until nobody can read anything of it any more, or for as long as
    the projections may take; either way the request stands. Raises `NotFound`.

    `id` names the request; an id that was used before answers with what became of that one. `returning`: None is the
    workspace's setting.
    """
    name = id or random_id()
    deps.registry.refresh()
    known = deps.registry.erasures.requests.get(name)
    if known is None:
        profile = people.profile_row(deps, key)["profile"]
        reached(deps, deps.registry.declare("erase", name, _said(profile, reason, returning), by))
    deps.registry.refresh()
    return deps.registry.erasures.requests[name]


def _said(profile: int, reason: str, returning: Returning | None) -> dict[str, Any]:
    said = {"profile": to_hex(profile), "reason": reason}
    return said if returning is None else {**said, "returning": returning}


def erase_all(
    deps: ApiDeps, keys: Sequence[str], reason: str, by: str, returning: Returning | None = None
) -> tuple[list[Erasure], list[int]]:
    """Forget all these people together: a request for each profile, and the places of the keys that no profile has, or
    several have. Blocks like `erase`."""
    found = people.profiles_of_keys(deps, keys)
    profiles = dict.fromkeys(profile for profile in found if profile)
    note(profiles=profiles)
    said = {random_id(): _said(profile, reason, returning) for profile in profiles}
    if said:
        reached(deps, deps.registry.declare_all("erase", said, by))
        deps.registry.refresh()
    requests = [deps.registry.erasures.requests[id] for id in said]
    return requests, [place for place, profile in enumerate(found) if not profile]


def ask(deps: ApiDeps, key: str, reason: str, by: str, id: str) -> Erasure:
    """Put somebody's request for their data into the queue. Raises `NotFound`. An id that was used before answers with
    what became of that one."""
    deps.registry.refresh()
    if id not in deps.registry.erasures.requests:
        profile = people.profile_row(deps, key)["profile"]
        deps.registry.declare("asked", id, {"type": "access", "profile": to_hex(profile), "reason": reason}, by)
    return deps.registry.erasures.requests[id]


def view(request: Erasure) -> dict[str, Any]:
    """As it is shown. It names no person: the profile id is a keyed hash."""
    shown: dict[str, Any] = {
        "id": request.id,
        "type": request.type,
        "state": request.state,
        "profile_id": f"prf_{request.profile}" if request.profile else None,
        "identities": len(request.nodes),
        "reason": request.reason,
        "by": request.by,
        "requested_at": iso(request.requested_at),
    }
    if request.type == "erasure":
        shown["returning"] = request.returning
    for name, moment in (("unreadable_at", request.unreadable_at), ("destroyed_at", request.destroyed_at)):
        if moment is not None:
            shown[name] = iso(moment)
    return shown


def found(deps: ApiDeps, id: str) -> Erasure:
    """Raises `NotFound`."""
    deps.registry.refresh()
    request = deps.registry.erasures.requests.get(id)
    if request is None:
        note(sought=[id])
        raise NotFound("privacy request: wanted the id of one, got an unknown id; see /v1/privacy/requests")
    note(profiles=[from_hex(request.profile)] if request.profile else [])
    return request


routes = guarded("privacy")


@routes.delete("/v1/profiles/{key}", status_code=202, response_model=ErasureView, responses=example(ErasureView, 202))
@scope(STEWARD)
@declares
def erase_profile(deps: Deps, key: ProfileKey, body: EraseIn, by: Caller) -> JsonReply:
    """Forget this person: every identity of the profile, as of now. Answers once nothing about them can be read. The
    state becomes `destroyed` when the bytes are gone: see `/v1/privacy/requests/{id}`."""
    return JsonReply(view(erase(deps, key, body.reason, by, returning=body.returning)), 202)


@routes.post("/v1/privacy/erasures", status_code=202, response_model=ErasedMany, responses=example(ErasedMany, 202))
@scope(STEWARD)
@declares
def erase_profiles(deps: Deps, body: EraseManyIn, by: Caller) -> JsonReply:
    """Forget up to 1,000 people at once. Answers once nothing about them can be read, or after some seconds. Each
    person gets a separate request."""
    requests, unknown = erase_all(deps, body.keys, body.reason, by, body.returning)
    return JsonReply({"items": [view(one) for one in requests], "unknown": unknown}, 202)


@routes.get("/v1/privacy/requests", response_model=ErasureList, responses=example(ErasureList))
@scope(STEWARD)
def list_requests(deps: Deps, limit: Limit = 50, cursor: Cursor = None) -> JsonReply:
    """List privacy requests, newest first."""
    deps.registry.refresh()
    before = None if cursor is None else read_cursor(deps.secret, "privacy requests", cursor, (int,))[0]
    requests = [one for one in deps.registry.erasures.requests.values() if before is None or one.offset < before]
    shown = heapq.nlargest(limit + 1, requests, key=attrgetter("offset"))
    note(profiles=[from_hex(one.profile) for one in shown[:limit] if one.profile])
    more = len(shown) > limit
    following = write_cursor(deps.secret, "privacy requests", [shown[limit - 1].offset]) if more else None
    return JsonReply(page([view(one) for one in shown[:limit]], following))


@routes.post("/v1/privacy/requests", status_code=202, response_model=ErasureView, responses=example(ErasureView, 202))
@scope(STEWARD)
@declares
def request_erasure(deps: Deps, body: PrivacyRequestIn, by: Caller) -> JsonReply:
    """Request an erasure in the form of OpenGDPR: `subject_request_type` is `erasure`, and one identity, or several of
    one person, name the subject. `access` and `portability` add a request to the queue that people answer by hand. A
    `subject_request_id` that was used before returns the state of that request."""
    key = _subject(deps, body)
    if body.subject_request_type != "erasure":
        return JsonReply(view(ask(deps, key, body.reason, by, body.subject_request_id)), 202)
    request = erase(deps, key, body.reason, by, body.subject_request_id, body.returning)
    return JsonReply(view(request), 202)


def _subject(deps: ApiDeps, body: PrivacyRequestIn) -> str:
    """A key of the person whom all these identities name. Raises `Conflict` where they are of several people: who asks
    for one must not forget another."""
    keys = [f"{one.identity_type}:{one.identity_value}" for one in body.subject_identities]
    deps.registry.refresh()
    if len(keys) == 1 or body.subject_request_id in deps.registry.erasures.requests:
        return keys[0]
    found = people.profiles_of_keys(deps, keys)
    if len(set(found) - {0}) > 1:
        raise Conflict(
            "subject_identities: wanted those of one person, got those of several profiles; send a request for each",
            code="several_people",
        )
    return next((key for key, profile in zip(keys, found, strict=True) if profile), keys[0])


@routes.get("/v1/privacy/requests/{id}", response_model=ErasureView, responses=example(ErasureView))
@scope(STEWARD)
def read_request(deps: Deps, id: Annotated[str, Path(description="Id of the request.")]) -> JsonReply:
    """Return the state of a privacy request."""
    return JsonReply(view(found(deps, id)))


@routes.post("/v1/privacy/requests/{id}/answered", response_model=ErasureView, responses=example(ErasureView))
@scope(STEWARD)
def answer_request(deps: Deps, id: Annotated[str, Path(description="Id of the request.")], by: Caller) -> JsonReply:
    """Mark a request that people answer by hand as answered. Erasures complete by themselves."""
    if found(deps, id).type == "erasure":
        raise Conflict("privacy request: wanted one that people answer by hand, got an erasure; ask for its state")
    deps.registry.declare("answered", id, {}, by)
    return JsonReply(view(found(deps, id)))


@routes.put("/v1/privacy/requests/{id}/returning", response_model=ErasureView, responses=example(ErasureView))
@scope(STEWARD)
def change_returning(
    deps: Deps, id: Annotated[str, Path(description="Id of the request.")], body: ReturningIn, by: Caller
) -> JsonReply:
    """Decide anew what becomes of later events that name one of the identities. What was erased stays so; events that
    were accepted or refused meanwhile stay what they are. Collectors follow within a second or two."""
    request = found(deps, id)
    if request.type != "erasure" or request.state == "nobody":
        raise Conflict(
            "privacy request: wanted an erasure of somebody, got another request; there are no identities that could"
            " return",
            code="nothing_returns",
        )
    if request.returning != body.returning:
        deps.registry.declare("returning", id, {"returning": body.returning}, by)
    return JsonReply(view(found(deps, id)))
