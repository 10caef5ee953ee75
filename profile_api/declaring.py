"""Declarations over the API: one shape for all kinds, and waiting until they are in effect."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from fastapi import Response
from pydantic import BaseModel

from profile_api.call import note
from profile_api.deps import ApiDeps
from profile_api.replies import JsonReply, page
from profile_api.waiting import not_visible, waited_for
from registry.models import Kind, Purpose, Retention, SegmentDeclaration, Source, Token, TraitDeclaration, Trigger
from registry.registry import Registry
from schemas import topics
from schemas.errors import Conflict, NotFound

LIVE: Final = "live"
PENDING: Final = "pending"
FILLING: Final = "filling"
DELETING: Final = "deleting"
SET_ASIDE: Final = "set_aside"

D = TypeVar("D", Source, Token, SegmentDeclaration, TraitDeclaration, Trigger, Purpose, Retention)


@dataclass(frozen=True)
class Resource(Generic[D]):
    """A kind of declaration with an id that is listed, read, created, replaced and deleted over the API. `by` names the
    caller, for the record. `waits`: an answer waits until the projections have passed the change (see
    `wait_until_visible`); else the registry alone applies it.
    """

    kind: Kind
    among: Callable[[Registry], Mapping[str, D]]
    waits: bool = False

    def all(self, deps: ApiDeps) -> list[D]:
        """By id."""
        return sorted(self.among(deps.registry).values(), key=lambda one: one.id)

    def listed(self, deps: ApiDeps, view: Callable[[D], dict[str, Any]]) -> JsonReply:
        return JsonReply(page([view(one) for one in self.all(deps)]))

    def found(self, deps: ApiDeps, name: str) -> D:
        """Raises `NotFound`."""
        one = self.among(deps.registry).get(name)
        if one is None:
            raise NotFound(f"{self.kind}: wanted the id of one that exists, got an unknown id; see /v1/{self.kind}s")
        note(target=f"{self.kind}:{name}")
        return one

    def require_new(self, deps: ApiDeps, name: str) -> None:
        """Before one is created. Raises `Conflict` (code `exists`)."""
        if name in self.among(deps.registry):
            raise Conflict(
                f"{self.kind}: wanted a new id, got one that is in use; send PUT to change it", code="exists"
            )

    def to_change(self, deps: ApiDeps, name: str, given: str | None) -> D:
        """The one that is replaced; `given`: the id in the body, if there is one. Raises `NotFound`, and `Conflict`
        (code `id_differs`)."""
        known = self.found(deps, name)
        if given not in (None, name):
            raise Conflict(
                f"{self.kind}: wanted the id of the path, got another one in the body; declare another one instead",
                code="id_differs",
            )
        return known

    def put(self, deps: ApiDeps, name: str, body: Mapping[str, Any], by: str) -> D:
        """Declare it as a whole, replacing the former declaration with this id."""
        offset = deps.registry.declare(self.kind, name, body, by)
        note(target=f"{self.kind}:{name}")
        if self.waits:
            wait_until_visible(deps, offset)
        return self.found(deps, name)

    def delete(self, deps: ApiDeps, name: str, by: str) -> Response:
        """Raises `NotFound`."""
        self.found(deps, name)
        offset = deps.registry.withdraw(self.kind, name, by)
        if self.waits:
            wait_until_visible(deps, offset)
        return Response(status_code=204)

    def once_in_effect(
        self, deps: ApiDeps, name: str, offset: int, answer: Callable[[], dict[str, Any]], done: int
    ) -> JsonReply:
        """The answer to a declaration at an offset, once it is in effect: `done` is the status then. 202 if that takes
        longer than a request should, or is impossible: the state in the answer says which."""
        if not reached(deps, offset):
            done = 202
        deps.registry.refresh()
        with deps.turns:
            told = answer()
        if told["state"] == SET_ASIDE:
            done = 202
        return JsonReply(told, done, headers=self._place(name) if done == 202 else None)

    def once_gone(self, deps: ApiDeps, name: str, offset: int, answer: Callable[[], dict[str, Any]]) -> Response:
        """The answer to a withdrawal at an offset, once it is in effect; 202 if that takes longer."""
        if reached(deps, offset):
            return Response(status_code=204)
        deps.registry.refresh()
        return JsonReply(answer(), 202, headers=self._place(name))

    def _place(self, name: str) -> dict[str, str]:
        return {"Location": f"/v1/{self.kind}s/{name}"}


SOURCES: Final = Resource[Source]("source", lambda registry: registry.sources)
TOKENS: Final = Resource[Token]("token", lambda registry: registry.tokens)
SEGMENTS: Final = Resource[SegmentDeclaration]("segment", lambda registry: registry.segments, waits=True)
TRAITS: Final = Resource[TraitDeclaration]("trait", lambda registry: registry.traits, waits=True)
TRIGGERS: Final = Resource[Trigger]("trigger", lambda registry: registry.triggers, waits=True)
RETENTIONS: Final = Resource[Retention]("retention", lambda registry: registry.retentions)
PURPOSES: Final = Resource[Purpose]("purpose", lambda registry: registry.purposes)


def declare(deps: ApiDeps, kind: Kind, name: str, body: dict[str, Any], by: str) -> None:
    """Append a declaration and block until the projections have taken it in."""
    wait_until_visible(deps, deps.registry.declare(kind, name, body, by))


def wait_until_visible(deps: ApiDeps, offset: int) -> None:
    """Block until the projections have passed this offset of simorgh.registry.

    Raises `Backpressure` after `visible_within` seconds: the declaration is recorded and will be applied.
    """
    if not reached(deps, offset):
        raise not_visible("declaration")


def reached(deps: ApiDeps, offset: int) -> bool:
    """Block until the projections have passed this offset of simorgh.registry, for up to `visible_within` seconds;
    whether they have."""
    return waited_for(deps, lambda: position(deps) > offset)


def position(deps: ApiDeps) -> int:
    """The offset of the first record of simorgh.registry that the projections have not passed."""
    return deps.log.committed(topics.PROJECTIONS, topics.REGISTRY)[0]


def state_of(deps: ApiDeps, name: str) -> dict[str, Any]:
    """The state of the latest declaration or deletion of a segment or, by its `trait_unit`, of a computed trait; and
    the reason if it is set aside."""
    effect = deps.registry.effects.get(name)
    if effect is None:
        return {"state": LIVE}
    if effect.aside is not None:
        return {"state": SET_ASIDE, "reason": effect.aside}
    passed = position(deps)
    if effect.leaving is not None:
        return {"state": DELETING}
    if effect.offset < passed:
        return {"state": LIVE}
    filled = deps.projections.filled(name)
    if filled is not None:
        return {"state": FILLING, "progress": round(filled, 3)}
    return {"state": FILLING if effect.offset == passed else PENDING}


def accepted(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """How the API reference describes such a 202."""
    description = "Recorded, but not in effect yet, or set aside: `Location` says where to ask."
    return {202: {"model": model, "description": description}}
