"""What each route is called in the audit. A route that is not listed is recorded under its method and path."""

from collections.abc import Mapping
from typing import Final

NOT_RECORDED: Final = frozenset(
    {
        "GET /v1/status",
        "GET /v1/schemas",
        "GET /v1/schemas/{name}",
        "GET /v1/replay",
    }
)
"""They show neither people nor what was declared."""

READS_BY_POST: Final = frozenset(
    {
        "POST /v1/profiles/lookup",
        "POST /v1/segments/preview",
        "POST /v1/events/known",
        "POST /v1/audit/verify",
        "POST /v1/sources/{name}/test",
    }
)
"""All other requests that are not GET change something."""

DURABLE_READS: Final = frozenset({"GET /v1/profiles/{key}/export"})
"""They give away so much that not even a crash may lose their entries. Other reads do not wait for the disk."""

ACTIONS: Final[Mapping[str, str]] = {
    "GET /v1/profiles": "profiles.search",
    "POST /v1/profiles/lookup": "profiles.lookup",
    "GET /v1/profiles/{key}": "profiles.view",
    "GET /v1/profiles/{key}/events": "profiles.events",
    "GET /v1/profiles/{key}/identities": "profiles.identities",
    "POST /v1/profiles/{key}/merge": "profiles.merge",
    "POST /v1/profiles/{key}/split": "profiles.split",
    "DELETE /v1/profiles/{key}": "profiles.erase",
    "GET /v1/profiles/{key}/export": "profiles.export",
    "GET /v1/profiles/{key}/consent": "profiles.consent",
    "POST /v1/profiles/{key}/consent": "profiles.consent.change",
    "POST /v1/privacy/erasures": "profiles.erase",
    "GET /v1/privacy/requests": "privacy.requests.list",
    "POST /v1/privacy/requests": "privacy.requests.create",
    "GET /v1/privacy/requests/{id}": "privacy.requests.view",
    "POST /v1/privacy/requests/{id}/answered": "privacy.requests.answer",
    "GET /v1/accounts": "accounts.list",
    "GET /v1/accounts/{key}": "accounts.view",
    "GET /v1/accounts/{key}/timeline": "accounts.timeline",
    "GET /v1/accounts/{key}/members": "accounts.members",
    "GET /v1/accounts/{key}/tree": "accounts.tree",
    "PUT /v1/privacy/requests/{id}/returning": "privacy.requests.decide",
    "GET /v1/retentions": "retentions.list",
    "POST /v1/retentions": "retentions.create",
    "DELETE /v1/retentions/{name}": "retentions.delete",
    "GET /v1/purposes": "purposes.list",
    "POST /v1/purposes": "purposes.create",
    "GET /v1/purposes/{name}": "purposes.view",
    "PUT /v1/purposes/{name}": "purposes.change",
    "DELETE /v1/purposes/{name}": "purposes.delete",
    "GET /v1/segments": "segments.list",
    "POST /v1/segments": "segments.create",
    "POST /v1/segments/preview": "segments.preview",
    "GET /v1/segments/{name}": "segments.view",
    "PUT /v1/segments/{name}": "segments.change",
    "DELETE /v1/segments/{name}": "segments.delete",
    "GET /v1/segments/{name}/members": "segments.members",
    "GET /v1/segments/{name}/why/{key}": "segments.why",
    "GET /v1/segments/{name}/stream": "segments.stream",
    "GET /v1/traits": "traits.list",
    "POST /v1/traits": "traits.create",
    "GET /v1/traits/{name}": "traits.view",
    "PUT /v1/traits/{name}": "traits.change",
    "DELETE /v1/traits/{name}": "traits.delete",
    "GET /v1/traits/{name}/why/{key}": "traits.why",
    "GET /v1/triggers": "triggers.list",
    "POST /v1/triggers": "triggers.create",
    "GET /v1/triggers/{name}": "triggers.view",
    "PUT /v1/triggers/{name}": "triggers.change",
    "DELETE /v1/triggers/{name}": "triggers.delete",
    "GET /v1/triggers/{name}/deliveries": "triggers.deliveries",
    "GET /v1/events": "events.latest",
    "GET /v1/events/conflicts": "events.conflicts",
    "POST /v1/events/known": "events.known",
    "GET /v1/seen": "seen.list",
    "GET /v1/rejected": "rejected.list",
    "GET /v1/rejected/{name}": "rejected.view",
    "POST /v1/rejected/{name}/dismiss": "rejected.dismiss",
    "POST /v1/rejected/dismiss": "rejected.dismiss",
    "POST /v1/rejected/retry": "rejected.retry",
    "POST /v1/rejected/{name}/retry": "rejected.retry",
    "GET /v1/sources": "sources.list",
    "POST /v1/sources": "sources.create",
    "GET /v1/sources/{name}": "sources.view",
    "PUT /v1/sources/{name}": "sources.change",
    "DELETE /v1/sources/{name}": "sources.delete",
    "POST /v1/sources/{name}/keys": "sources.keys.create",
    "DELETE /v1/sources/{name}/keys/{key_id}": "sources.keys.delete",
    "GET /v1/sources/{name}/secrets": "sources.secrets.list",
    "POST /v1/sources/{name}/secrets": "sources.secrets.create",
    "POST /v1/sources/{name}/secrets/rotate": "sources.secrets.rotate",
    "DELETE /v1/sources/{name}/secrets/{secret_id}": "sources.secrets.delete",
    "POST /v1/sources/{name}/test": "sources.test",
    "GET /v1/tokens": "tokens.list",
    "POST /v1/tokens": "tokens.create",
    "GET /v1/tokens/{name}": "tokens.view",
    "DELETE /v1/tokens/{name}": "tokens.delete",
    "POST /v1/replay": "replay.start",
    "GET /v1/identity-rules": "identity-rules.view",
    "PUT /v1/identity-rules": "identity-rules.change",
    "GET /v1/audit": "audit.list",
    "POST /v1/audit/verify": "audit.verify",
}


def action_of(route: str) -> str:
    """Of a route such as `GET /v1/profiles/{key}`."""
    return ACTIONS.get(route, route)


def is_recorded(route: str) -> bool:
    return route not in NOT_RECORDED


def waits(route: str) -> bool:
    """Whether its entry is durable before its answer leaves."""
    return changes(route) or route in DURABLE_READS


def changes(route: str) -> bool:
    return not route.startswith("GET ") and route not in READS_BY_POST
