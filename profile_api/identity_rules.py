"""The identity rules: which types name whom, in what order, with which limits. Data, not code."""

from fastapi import APIRouter

from identity.rules import DEFAULT_RULES, IdentityRules
from profile_api.auth import Caller, scope
from profile_api.declaring import declare
from profile_api.deps import ApiDeps
from profile_api.models.examples import example
from profile_api.models.operations import RulesView
from profile_api.replies import JsonReply
from registry.scopes import ADMIN, READ


def in_force(deps: ApiDeps) -> IdentityRules:
    declared = deps.registry.rules
    return DEFAULT_RULES if declared is None else IdentityRules.parse(dict(declared))


def router(deps: ApiDeps) -> APIRouter:
    routes = APIRouter(tags=["identity"])

    @routes.get("/v1/identity-rules", response_model=RulesView, responses=example(RulesView))
    @scope(READ)
    def identity_rules() -> JsonReply:
        """The rules in force: priorities, limits, blocked values, the cap on shared identifiers."""
        return JsonReply({"rules": in_force(deps).model_dump(mode="json")})

    @routes.put("/v1/identity-rules", response_model=RulesView, responses=example(RulesView))
    @scope(ADMIN)
    @deps.declaring.endpoint
    def change_identity_rules(body: IdentityRules, by: Caller) -> JsonReply:
        """Replace the rules. They hold for links from now on; what was decided stays decided."""
        declare(deps, "rules", "identity", body.model_dump(mode="json"), by)
        return JsonReply({"rules": in_force(deps).model_dump(mode="json")})

    return routes
