"""Stewardship: merging two profiles manually, and splitting one. Commands are records too, so a replay repeats them."""

from collections.abc import Collection
from typing import Any

from identity.nodes import profile_id, to_hex
from profile_api import people, views
from profile_api.auth import Caller, scope
from profile_api.declaring import declare
from profile_api.deps import ApiDeps, Deps
from profile_api.models.examples import example
from profile_api.models.profiles import Profiles, SplitPreview
from profile_api.params import ProfileKey
from profile_api.profiles import view_of
from profile_api.replies import JsonReply
from profile_api.requests import IdentifierIn, MergeIn, SplitIn
from profile_api.routes import guarded
from profile_api.status import freshness
from profile_api.turns import declares
from registry.scopes import STEWARD
from schemas.clock import random_id
from schemas.errors import Conflict, InvalidIdentifier


def merge(deps: ApiDeps, key: str, other: str, reason: str, by: str) -> list[dict[str, Any]]:
    """Make two profiles one, whatever the limits say. Raises `NotFound`, or `Conflict` when they already
    are one.
    """
    a, b = people.profile_row(deps, key)["profile"], people.profile_row(deps, other)["profile"]
    if a == b:
        raise Conflict(
            "merge: wanted two profiles, got two keys of one; there is nothing to merge", code="same_profile"
        )
    body = {"a": to_hex(a), "b": to_hex(b), "reason": reason, "by": by, "at": deps.clock()}
    declare(deps, "merge", random_id(), body, by)
    return _views(deps, [a, b])


def split(deps: ApiDeps, key: str, identities: list[IdentifierIn], reason: str, by: str) -> list[dict[str, Any]]:
    """Let the listed identities leave the profile together; what stays comes first in the answer.

    Raises `NotFound`; `Conflict` when one of them is not in the profile, or none would stay.
    """
    staying, leaving = _sides(deps, people.profile_row(deps, key), identities)
    body = {"nodes": [to_hex(node) for node in leaving], "reason": reason, "by": by, "at": deps.clock()}
    declare(deps, "split", random_id(), body, by)
    return _views(deps, staying + leaving)


def split_preview(deps: ApiDeps, key: str, identities: list[IdentifierIn]) -> list[dict[str, Any]]:
    """The two sides that `split` would make, what stays first. The side with the profile's founder keeps the id.

    Raises what `split` raises.
    """
    row = people.profile_row(deps, key)
    _, leaving = _sides(deps, row, identities)
    leaves = {
        one: bool(set(people.nodes_of_identifier(deps, one[0], one[1])) & set(leaving))
        for one in map(tuple, row["identifiers"])
    }
    founder_leaves = row["profile"] in leaving
    return [
        {
            "profile_id": profile_id(row["profile"]) if side == founder_leaves else None,
            "keeps_id": side == founder_leaves,
            "identities": views.identities(one for one, goes in leaves.items() if goes == side),
        }
        for side in (False, True)
    ]


def _sides(deps: ApiDeps, row: people.Row, identities: list[IdentifierIn]) -> tuple[list[int], list[int]]:
    """The nodes of a profile that would stay, and those that would leave. Raises `Conflict`."""
    present = people.nodes_of(deps.reader, row["profile"])
    leaving = [_node(deps, one, present) for one in identities]
    if not set(leaving) <= set(present):
        raise Conflict(
            "split: wanted identities of this profile, got at least one that is not in it; see its identities",
            code="not_in_profile",
        )
    staying = [node for node in present if node not in set(leaving)]
    if not staying:
        raise Conflict(
            "split: wanted some identities to stay, got all of the profile; leave at least one out",
            code="nothing_stays",
        )
    return staying, leaving


def _node(deps: ApiDeps, identity: IdentifierIn, present: Collection[int]) -> int:
    """The node of an identity in its profile, 0 if it is not there. An invalid identifier is in no profile."""
    try:
        nodes = people.nodes_of_identifier(deps, identity.type, identity.value)
    except InvalidIdentifier:
        return 0
    return next((node for node in nodes if node in present), 0)


def _views(deps: ApiDeps, nodes: list[int]) -> list[dict[str, Any]]:
    """The views of the profiles that these nodes belong to now, each once, in the nodes' order."""
    fresh = freshness(deps)
    whose = deps.views.owners(nodes)
    profiles = list(dict.fromkeys(whose[node] for node in nodes if node in whose))
    rows = people.rows_of(deps, profiles)
    return [view_of(deps, rows[profile], views.DEFAULT_PARTS, fresh) for profile in profiles if profile in rows]


routes = guarded("profiles", "/v1/profiles")


@routes.post("/{key:path}/merge", response_model=Profiles, responses=example(Profiles))
@scope(STEWARD)
@declares
def merge_profiles(deps: Deps, key: ProfileKey, body: MergeIn, by: Caller) -> JsonReply:
    """Merge another profile into this one. The answer comes once the change is visible, with the merged profile."""
    return JsonReply({"profiles": merge(deps, key, body.with_, body.reason, by)})


@routes.post("/{key:path}/split", response_model=Profiles | SplitPreview, responses=example(Profiles))
@scope(STEWARD)
@declares
def split_profile(deps: Deps, key: ProfileKey, body: SplitIn, by: Caller) -> JsonReply:
    """Split identities off this profile. They leave together, and stay apart until a steward merges them again. The
    answer comes once the change is visible, with the resulting profiles. With `dry_run` nothing changes, and the
    answer says which side would keep the id of the profile.
    """
    if body.dry_run:
        return JsonReply({"dry_run": True, "profiles": split_preview(deps, key, body.identities)})
    return JsonReply({"profiles": split(deps, key, body.identities, body.reason, by)})
