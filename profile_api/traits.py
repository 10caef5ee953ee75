"""Computed traits: declared, kept up to date by the projections, shown among a profile's traits."""

from collections.abc import Iterator
from typing import Any

from fastapi import Response

from identity.nodes import profile_id
from profile_api import people, rules, trial
from profile_api.auth import Caller, scope
from profile_api.call import masks, require_personal
from profile_api.declaring import TRAITS, accepted, position, state_of
from profile_api.deps import ApiDeps, Deps
from profile_api.models.examples import example
from profile_api.models.traits import ComputedTrait, ComputedTraitPage, WhyValue
from profile_api.params import Name, ProfileKey
from profile_api.replies import JsonReply, page
from profile_api.requests import TraitChange, TraitIn
from profile_api.routes import guarded
from profile_api.segments import evidence_view, rule_why
from profile_api.turns import declares, reads_much
from registry.models import TraitDeclaration, trait_unit
from registry.scopes import READ, WRITE
from schemas.clock import iso
from schemas.errors import InvalidRule, NotFound
from segments.computed import bound, bound_computation, parse_computation, rules_of, trait_of, units_of
from segments.live_traits import in_order
from segments.size import check_size
from segments.sql import compile_values
from segments.tree import Cases, Computation, EventValue, Rule
from segments.why import compile_why_value
from warehouse import latest

_NO_CONSTANT = "the usual gap of the workspace is not recorded yet; it is once somebody has two days with an event"
_A_FEW = f"{latest.PROFILES} LIMIT 10"


def view(deps: ApiDeps, trait: TraitDeclaration) -> dict[str, Any]:
    return {
        "id": trait.id,
        "name": trait.name,
        "compute": trait.compute,
        "version": trait.version,
        "created_at": iso(trait.created_at),
        **state_of(deps, trait_unit(trait.id)),
    }


def one(deps: ApiDeps, name: str) -> dict[str, Any]:
    """A declared trait, or a deleted one as long as profiles lose it."""
    effect = deps.registry.effects.get(trait_unit(name))
    if effect and isinstance(effect.leaving, TraitDeclaration) and position(deps) <= effect.offset:
        return view(deps, effect.leaving)
    return view(deps, TRAITS.found(deps, name))


def checked(deps: ApiDeps, name: str, written: dict[str, Any]) -> Computation:
    """What a trait of this name is to be made of, bound, having been tried on a few profiles. Raises `InvalidRule`."""
    computation = parse_computation(written)
    if (hiding := masks()) and next(hiding.hidden_in(written), None):
        require_personal("trait")
    find = rules.computed(deps, name, computation)
    everything = dict(_rules(deps))
    if unknown := [one for one in units_of(computation) if trait_of(one) is None and one not in everything]:
        raise InvalidRule(f"trait: wanted segments that exist, got {len(unknown)} that do not; declare them first")
    in_order(everything, {other: found for other in {*deps.registry.traits, name} if (found := find(other))})
    made = bound_computation(name, computation, find)

    def resolve(segment: str) -> Rule:
        return bound(everything[segment], find)

    for rule in rules_of(made):
        check_size(rule, resolve)
    few = [row["profile"] for row in deps.reader.look_up(_A_FEW)]
    trial.try_out(deps, compile_values([made], deps.clock(), resolve, few))
    return made


def _rules(deps: ApiDeps) -> Iterator[tuple[str, Rule]]:
    """Of the declared segments that can be read."""
    for segment in deps.registry.segments.values():
        try:
            yield segment.id, deps.trees.tree(segment)
        except InvalidRule:  # it is set aside
            continue


def put(deps: ApiDeps, name: str, body: dict[str, Any], by: str, done: int) -> JsonReply:
    """Declare a trait and wait until profiles show it: `done` is the status then. 202 if that takes longer than a
    request should, or is impossible: the state says which."""
    with deps.turns:
        checked(deps, name, body["compute"])
    offset = deps.registry.declare("trait", name, body, by)
    return TRAITS.once_in_effect(deps, name, offset, lambda: one(deps, name), done)


def explained(deps: ApiDeps, trait: TraitDeclaration, row: people.Row) -> dict[str, Any]:
    """A trait's value for one profile as of now, and what decides it."""
    now, resolve = deps.clock(), rules.resolver(deps)
    found = rules.computed(deps)(trait.id)
    if found is None:
        raise NotFound(f"trait: wanted one that is in effect, got one that is set aside; see /v1/traits/{trait.id}")
    computation = bound_computation(trait.id, found, rules.computed(deps))
    query = compile_why_value(computation, now, row["profile"], resolve)
    told = evidence_view(deps.reader.rows(query.sql, query.parameters)[0])
    if isinstance(computation, EventValue) and computation.take == "lifecycle" and computation.usual is None:
        told["reason"] = _NO_CONSTANT
    if isinstance(computation, Cases):
        told["cases"] = list(_cases(deps, computation, now, row["profile"]))
    head = {"trait": trait.id, "version": trait.version, "profile_id": profile_id(row["profile"]), "at": iso(now)}
    return head | told


def _cases(deps: ApiDeps, cases: Cases, now: int, profile: int) -> Iterator[dict[str, Any]]:
    """Up to the first that holds."""
    for rule, value in zip(cases.rules, cases.values, strict=True):
        why = rule_why(deps, rule, now, profile)
        yield {"value": value, "why": why}
        if why["holds"]:
            return


_ACCEPTED = accepted(ComputedTrait)

routes = guarded("traits", "/v1/traits")


@routes.get("", response_model=ComputedTraitPage, responses=example(ComputedTraitPage))
@scope(READ)
def list_traits(deps: Deps) -> JsonReply:
    """List all computed traits, by name."""
    return JsonReply(page([view(deps, trait) for trait in TRAITS.all(deps)]))


@routes.post(
    "",
    status_code=201,
    response_model=ComputedTrait,
    responses={**example(ComputedTrait, 201, "Profiles show it."), **_ACCEPTED},
)
@scope(WRITE)
@declares
def create_trait(deps: Deps, body: TraitIn, by: Caller) -> JsonReply:
    """Declare a computed trait. The answer comes once all profiles show it. Values that are sent under its name are
    kept, and hidden while the trait is declared."""
    TRAITS.require_new(deps, body.id)
    return put(deps, body.id, {"name": body.name, "compute": body.compute, "version": 1}, by, 201)


@routes.get("/{name}", response_model=ComputedTrait, responses=example(ComputedTrait))
@scope(READ)
def one_trait(deps: Deps, name: Name) -> JsonReply:
    """Return a computed trait with its state."""
    return JsonReply(one(deps, name))


@routes.put("/{name}", response_model=ComputedTrait, responses={**example(ComputedTrait), **_ACCEPTED})
@scope(WRITE)
@declares
def change_trait(deps: Deps, name: Name, body: TraitChange, by: Caller) -> JsonReply:
    """Change what a trait is made of, or its title, which makes the next version. The answer comes once all profiles
    show the new values."""
    known = TRAITS.to_change(deps, name, body.id)
    title = known.name if body.name is None else body.name
    return put(deps, name, {"name": title, "compute": body.compute, "version": known.version + 1}, by, 200)


@routes.delete(
    "/{name}",
    status_code=204,
    response_class=Response,
    responses={204: {"description": "Profiles do not show it any more."}, **_ACCEPTED},
)
@scope(WRITE)
@declares
def delete_trait(deps: Deps, name: Name, by: Caller) -> Response:
    """Delete a computed trait. Values that were sent under its name are shown again, and rules read those."""
    TRAITS.found(deps, name)
    return TRAITS.once_gone(deps, name, deps.registry.withdraw("trait", name, by), lambda: one(deps, name))


@routes.get("/{name}/why/{key:path}", response_model=WhyValue, responses=example(WhyValue))
@scope(READ)
@reads_much
def why(deps: Deps, name: Name, key: ProfileKey) -> JsonReply:
    """Explain a profile's value of a computed trait: the events that count, or the rules that decide."""
    trait = TRAITS.found(deps, name)
    return JsonReply(explained(deps, trait, people.profile_row(deps, key)))
