"""Checks of a declared segment rule: it is read, measured with its nested rules, and tried on a few profiles."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from profile_api import trial
from profile_api.call import masks, require_personal
from profile_api.declaring import SEGMENTS
from profile_api.deps import ApiDeps
from registry.models import TraitDeclaration, trait_unit
from schemas.errors import Conflict, InvalidRule, NotFound
from segments.computed import bound
from segments.rule import parse_rule
from segments.size import check_size
from segments.sql import Resolve, compile_sql
from segments.tree import Computation, EventValue, Rule
from warehouse import latest

Computed = Callable[[str], Computation | None]
"""The computation of a trait; None: it is not computed."""

_A_FEW = f"{latest.PROFILES} LIMIT 10"


def resolver(deps: ApiDeps, own: str | None = None, rule: Rule | None = None) -> Resolve:
    """The rules of nested segments; `own` is the one that is being declared, with its new rule."""

    def resolve(name: str) -> Rule:
        if rule is not None and name == own:
            return with_traits(deps, rule)
        nested = SEGMENTS.found(deps, name)
        if (effect := deps.registry.effects.get(name)) and effect.aside is not None:
            raise Conflict(
                f"rule: wanted segments that are in effect, got {name}, which is set aside; correct it first:"
                f" {effect.aside}",
                code="set_aside",
            )
        return with_traits(deps, deps.trees.tree(nested))

    return resolve


def computed(deps: ApiDeps, own: str | None = None, computation: Computation | None = None) -> Computed:
    """The computed traits that are in effect; `own` is the one that is being declared."""

    def find(name: str) -> Computation | None:
        if computation is not None and name == own:
            return computation
        declared = deps.registry.traits.get(name)
        effect = deps.registry.effects.get(trait_unit(name))
        if declared is None or (effect is not None and effect.aside is not None):
            return None
        return _with_constant(deps, declared, deps.trees.computation(declared))

    return find


def _with_constant(deps: ApiDeps, trait: TraitDeclaration, computation: Computation) -> Computation:
    recorded = deps.registry.constants.get(trait_unit(trait.id), {})
    if recorded.get("version") != trait.version or not isinstance(computation, EventValue):
        return computation
    return replace(computation, usual=recorded["usual_gap"])


def with_traits(deps: ApiDeps, rule: Rule) -> Rule:
    """The rule with the computations of the traits that it reads, for SQL."""
    return bound(rule, computed(deps))


def try_out(deps: ApiDeps, rule: Rule, own: str) -> None:
    """Let the engine run a `checked` rule on a few profiles. Raises `InvalidRule` if it does not run."""
    few = [row["profile"] for row in deps.reader.look_up(_A_FEW)]
    trial.try_out(deps, compile_sql(with_traits(deps, rule), deps.clock(), resolver(deps, own, rule), few))


def checked(deps: ApiDeps, written: dict[str, Any], own: str | None = None) -> Rule:
    """The tree of a rule, with every segment below it there, none containing itself, and within the limits. Raises
    `InvalidRule`.

    `own`: the segment that is to have it. Those that name this one must keep within the limits, too.
    """
    rule = parse_rule(written)
    if (hiding := masks()) and next(hiding.hidden_in(written), None):
        require_personal("rule")
    resolve = resolver(deps, own, rule)
    try:
        check_size(with_traits(deps, rule), resolve)
    except NotFound:
        raise InvalidRule(
            "rule: wanted segments that exist, got one that does not; declare it first",
            path="/segment",
        ) from None
    for user in _all_users(deps, own) if own else ():
        _check_user(user, resolve)
    return rule


def users_of(deps: ApiDeps, name: str) -> list[str]:
    """The segments that name this one."""
    declared = deps.registry.segments.values()
    return sorted(other.id for other in declared if other.id != name and name in deps.trees.names(other))


def _all_users(deps: ApiDeps, name: str) -> Iterator[str]:
    """Directly and through others."""
    named = {other.id: deps.trees.names(other) for other in deps.registry.segments.values()}
    seen, waiting = {name}, [name]
    while waiting:
        used = waiting.pop()
        for user, names in named.items():
            if used in names and user not in seen:
                seen.add(user)
                waiting.append(user)
                yield user


def _check_user(user: str, resolve: Callable[[str], Rule]) -> None:
    try:
        check_size(resolve(user), resolve)
    except (Conflict, NotFound):  # it, or a segment that it names, is set aside already
        pass
    except InvalidRule as error:
        if error.code == "segment_cycle":
            raise
        raise InvalidRule(
            f"segment {user}: wanted a rule within the limits, got one that is too large with this one in it; {error}",
            code=error.code,
        ) from None
