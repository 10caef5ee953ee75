"""From warehouse rows to the API's JSON. Pure: no I/O, no clock."""

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from typing import Any, Final, Literal, get_args

import orjson

from identity.nodes import profile_id
from schemas.clock import iso
from segments.facts import net

Json = dict[str, Any]

Part = Literal[
    "traits", "identities", "segments", "metrics", "consent", "predictions", "accounts", "purposes", "events"
]
PARTS: Final[tuple[Part, ...]] = get_args(Part)
"""What `include` may name."""

DEFAULT_PARTS: Final = PARTS[:-3]
"""The parts of a view without `include`: all but accounts, events, and what consent allows."""


def profile_view(
    row: Mapping[str, Any],
    workspace: str,
    freshness: Json,
    parts: Collection[str] = DEFAULT_PARTS,
    *,
    purposes: Json | None = None,
    events: Json | None = None,
    accounts: list[Json] | None = None,
) -> Json:
    """The 360° view of a profile row (`people.profile_row`), with the requested parts; traits have their origins if the
    row has `provenance`. `purposes`: what is allowed (`permits.purposes`)."""
    view: Json = {"profile_id": profile_id(row["profile"]), "workspace": workspace}
    made: dict[str, Any] = {
        "traits": lambda: _with_origins(row["traits"], row["provenance"]) if "provenance" in row else row["traits"],
        "identities": lambda: identities(row["identifiers"]),
        "segments": lambda: [{"id": segment, "entered_at": iso(at)} for segment, at in row["memberships"]],
        "metrics": lambda: _metrics(row),
        "consent": lambda: row["consent"],
        "predictions": dict,
        "purposes": lambda: purposes or {},
        "accounts": lambda: accounts or [],
        "events": lambda: events or {"items": [], "next_cursor": None},
    }
    view |= {part: make() for part, make in made.items() if part in parts}
    return view | {"freshness": freshness}


def identities(identifiers: Iterable[tuple[str, str, int, int]]) -> list[Json]:
    """Type, value and when each was seen."""
    return [
        {"type": kind, "value": value, "first_seen": iso(first), "last_seen": iso(last)}
        for kind, value, first, last in identifiers
    ]


def _with_origins(traits: Json, provenance: Json) -> Json:
    """With those that a computed trait without a value hides."""
    hidden = {name: None for name, origin in provenance.items() if "shadowed" in origin and name not in traits}
    return {name: {"value": value} | provenance.get(name, {}) for name, value in (traits | hidden).items()}


def _metrics(row: Mapping[str, Any]) -> Json:
    seen = row["events"] > 0
    return {
        "events": row["events"],
        "first_seen": iso(row["first_seen"]) if seen else None,
        "last_seen": iso(row["last_seen"]) if seen else None,
        "orders": row["orders"],
        "orders_placed": row["orders_placed"],
        "revenue": (revenue := _amounts(row["revenue"])),
        "refunds": (refunds := _amounts(row["refunds"])),
        "net_revenue": net(revenue, refunds),
        "counts": row["counts"],
    }


def _amounts(texts: Mapping[str, str]) -> dict[str, Decimal]:
    return {currency: Decimal(text) for currency, text in texts.items()}


_TIMELINE_MEMBERS = (
    "id", "type", "name", "time", "original_time", "received_at", "channel", "dataschema", "subject",
    "properties", "traits", "context", "consent", "flags", "original",
)  # fmt: skip


def event_view(payload: str | bytes, names: Mapping[str, str]) -> Json:
    """An envelope for the timeline, without internal members (nodes, versions).

    `names`: node in hex -> its identifier, normalised, for envelopes that do not have it.
    """
    envelope = orjson.loads(payload)
    view = {name: envelope[name] for name in _TIMELINE_MEMBERS if name in envelope}
    view["source"] = source_id(envelope)
    identifiers = view["identifiers"] = [_identifier_view(one, names) for one in envelope.get("identifiers", [])]
    if "subject" not in view and identifiers and "trust" not in identifiers[0] and identifiers[0]["value"]:
        view["subject"] = f"{identifiers[0]['type']}:{identifiers[0]['value']}"
    return view


def nodes_of(payload: str | bytes) -> list[str]:
    """The nodes of an envelope's identifiers whose value it does not have, in hex."""
    return [one["node"] for one in orjson.loads(payload).get("identifiers", []) if "normalised" not in one]


def told_view(payload: str | bytes, names: Mapping[str, str], *, counts: bool) -> Json:
    """`event_view`, with `counts` if another event reports the same fact and counts instead."""
    view = event_view(payload, names)
    return view if counts else view | {"counts": False}


def _identifier_view(one: Mapping[str, Any], names: Mapping[str, str]) -> Json:
    """`trust` is present if the identifier is a hint, which links nobody."""
    view: Json = {"type": one.get("type"), "value": one.get("normalised") or names.get(one.get("node", ""))}
    return view | {"trust": one["trust"]} if "trust" in one else view


def source_id(envelope: Mapping[str, Any]) -> str:
    return str(envelope.get("source", "")).removeprefix("/sources/")


def accepted_view(envelope: Mapping[str, Any]) -> Json:
    """An accepted event in the list of the latest ones."""
    members = ("id", "type", "name", "channel", "time", "received_at", "flags")
    view: Json = {"status": "accepted", "source": source_id(envelope)}
    return view | {name: envelope[name] for name in members if name in envelope}


def refused_view(record: Mapping[str, Any]) -> Json:
    """A rejected event in the list of the latest ones: its reason, not its payload."""
    members = ("id", "code", "reason", "source", "channel", "received_at")
    view: Json = {"status": "rejected", "type": record.get("type")}
    return view | {name: record[name] for name in members if name in record}


def rejected_view(row: Mapping[str, Any]) -> Json:
    """A rejected event with its original bytes: `payload`, or `payload_base64` if they are not UTF-8."""
    view: Json = {name: row[name] for name in ("id", "code", "reason", "source", "channel")}
    view["received_at"] = iso(row["received_ms"])
    if row["is_text"]:
        view["payload"] = row["text"]
    else:
        view["payload_base64"] = row["base64"]
    if row["webhook"]:
        view["webhook"] = orjson.loads(row["webhook"])
    if row["resolved"]:
        view["resolved"] = True
    return view


def delivery_view(row: Mapping[str, Any]) -> Json:
    """A webhook delivery. `response_code` is null without an answer, `next_at` null if there is no further attempt."""
    return {
        "id": row["id"],
        "trigger": row["trigger"],
        "status": row["status"],
        "attempts": row["attempts"],
        "next_at": iso(row["next_ms"]) if row["status"] == "pending" else None,
        "created_at": iso(row["created_ms"]),
        "updated_at": iso(row["updated_ms"]),
        "response_code": row["response_code"] or None,
        "error": row["error"] or None,
        "body": _json_or_text(row["body"]),
    }


def _json_or_text(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def decision_view(
    row: Mapping[str, Any], identifiers: Mapping[str, list[Json]], events: Mapping[str, tuple[str, int]]
) -> Json:
    """A decision of identity with its reason. `identifiers` maps its nodes (hex) to identifiers; `events` has id and
    time in ms of the events (by key, hex) that caused decisions.
    """
    detail: Json = orjson.loads(row["detail"] or b"{}")
    view: Json = {"outcome": row["outcome"], "at": iso(row["at_ms"])}
    for role in ("survivor", "absorbed", "from"):
        if role in detail:
            view[role] = _as_profile(detail[role])
    if isinstance(detail.get("to"), list):
        view["to"] = [_as_profile(one) for one in detail["to"]]
    if row["outcome"] == "refused":
        view["between"] = [_stands_for(detail.get(side), identifiers) for side in ("a", "b")]
    if "node" in detail:
        view["identifier"] = _stands_for(detail["node"], identifiers)
    view["reason"] = detail.get("reason") or _REASONS.get(row["outcome"], "")
    if "by" in detail:
        view["by"] = detail["by"]
    if found := events.get(detail.get("key", "")):
        name, ms = found
        view["event"] = {"source": detail["source"], "id": name, "time": iso(ms)}
    return view


_REASONS: Final = {
    "merged": "an event carried identifiers of both",
    "shared": "the identifier was seen with more people than the rules allow, so it belongs to nobody",
    "split": "a steward split the profile",
}


def _as_profile(node: str) -> str:
    return profile_id(int(node, 16))


def _stands_for(node: Any, identifiers: Mapping[str, list[Json]]) -> Json | None:
    known = identifiers.get(str(node), [])
    return known[0] if known else None


def events_named(details: Iterable[str]) -> set[tuple[int, int]]:
    """Key and anchor of the events that decisions came of, to look them up."""
    parsed = [orjson.loads(detail or "{}") for detail in details]
    return {(int(one["key"], 16), int(one["anchor"], 16)) for one in parsed if one.get("key")}


def nodes_named(details: Iterable[str]) -> set[str]:
    """The nodes (hex) that decisions speak of, to look their identifiers up."""
    parsed = [orjson.loads(detail or "{}") for detail in details]
    return {str(one[role]) for one in parsed for role in ("a", "b", "node") if role in one}
