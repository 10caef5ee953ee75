"""The identity rules: which types name whom, in what order, with which limits. Data, not code."""

from identity.rules import DEFAULT_RULES, IdentityRules
from profile_api.auth import Caller, scope
from profile_api.declaring import declare
from profile_api.deps import ApiDeps, Deps
from profile_api.models.examples import example
from profile_api.models.operations import RulesView
from profile_api.replies import JsonReply
from profile_api.routes import guarded
from profile_api.turns import declares
from registry.scopes import ADMIN, READ


def in_force(deps: ApiDeps) -> IdentityRules:
    declared = deps.registry.rules
    return DEFAULT_RULES if declared is None else IdentityRules.parse(dict(declared))


routes = guarded("identity")


@routes.get("/v1/identity-rules", response_model=RulesView, responses=example(RulesView))
@scope(READ)
def identity_rules(deps: Deps) -> JsonReply:
    """Return the current identity rules: priorities, limits, blocked values, and when an identifier is shared."""
    return JsonReply({"rules": in_force(deps).model_dump(mode="json")})


@routes.put("/v1/identity-rules", response_model=RulesView, responses=example(RulesView))
@scope(ADMIN)
@declares
def change_identity_rules(deps: Deps, body: IdentityRules, by: Caller) -> JsonReply:
    """Replace the identity rules. They apply to links from now on. Earlier decisions stay."""
    declare(deps, "rules", "identity", body.model_dump(mode="json"), by)
    return JsonReply({"rules": in_force(deps).model_dump(mode="json")})
