"""Writes what is generated from the tables and models: `python -m schemas.generate`.

- `schemas/events/<type>.v<version>.json` from `schemas/sets/`
- `schemas/envelope.v2.json` and `schemas/records/*.json` from the models
- `docs/events.md`, the page that lists every event

It writes only these files. `python -m schemas.check` finds published ones that have changed.
"""

import json
from inspect import cleandoc
from pathlib import Path
from typing import Any, Final

import msgspec
from pydantic import TypeAdapter

from schemas.envelope import Envelope
from schemas.event_docs import events_page
from schemas.fields import DIALECT, schema_of
from schemas.records import AuditEntry, Claim, Decisions, IdentityRecord, Rejection, TouchRecord, Transition
from schemas.sets import ALL

REPOSITORY: Final = Path(__file__).parent.parent

ENVELOPE: Final = "envelope.v2.json"


def rendered() -> dict[str, str]:
    """Every generated file by its path in the repository; pure."""
    return {**_event_files(), **_model_files(), "docs/events.md": events_page(ALL)}


def write(root: Path) -> list[str]:
    """Bring the files under `root` into step; returns the paths that changed."""
    files = rendered()
    changed = [path for path, text in files.items() if _read(root / path) != text]
    for path in changed:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(files[path], encoding="utf-8")
    return changed


def _event_files() -> dict[str, str]:
    return {
        f"schemas/events/{event.type}.v{event.version}.json": _as_json(schema_of(event, table.name))
        for table in ALL
        for event in table.events
    }


def _model_files() -> dict[str, str]:
    envelope = TypeAdapter(Envelope).json_schema(mode="validation", by_alias=True)
    schemas = {ENVELOPE: _named("envelope:2", "Envelope of simorgh.events", envelope), **_record_schemas()}
    return {f"schemas/{path}": _as_json(schema) for path, schema in schemas.items()}


def _record_schemas() -> dict[str, dict[str, Any]]:
    transition, rejection = _open_schema(Transition), _open_schema(Rejection)
    _move_to_end(transition["properties"], "former")
    return {
        "records/segments.transition.v1.json": _record(
            "segments.transition:1", "simorgh.segments", _without(transition, "owner", "former")
        ),
        "records/segments.transition.v2.json": _record("segments.transition:2", "simorgh.segments", transition),
        "records/segments.claim.v1.json": _record("segments.claim:1", "simorgh.segments", _open_schema(Claim)),
        "records/touched.v1.json": _record("touched:1", "simorgh.touched", _open_schema(TouchRecord)),
        "records/identity.v2.json": _record("identity:2", "simorgh.identity", _identity_schema()),
        "records/rejected.v1.json": _record("rejected:1", "simorgh.rejected", rejection),
        "records/audit.v1.json": _record("audit:1", "simorgh.audit", _open_schema(AuditEntry)),
    }


def _identity_schema() -> dict[str, Any]:
    """Of the records as they are written: with their decisions."""
    schema, decided = _open_schema(IdentityRecord), _open_schema(Decisions)
    link = schema["$defs"]["Link"]["properties"]
    link["place"]["default"] = 0  # what it counts as where it is absent
    _move_to_end(link, "place", "alias")
    for name in ("Link", "Merge", "Split"):
        schema["$defs"][name]["properties"]["decisions"] = decided
        schema["$defs"][name]["required"].append("decisions")
    schema["$defs"] |= decided.pop("$defs")  # references to them stay valid here
    return schema


def _open_schema(type_: Any) -> dict[str, Any]:
    """JSON Schema of a type of `schemas.records`, open to members that come later."""
    [schema], parts = msgspec.json.schema_components([type_], ref_template="#/$defs/{name}")
    if "$ref" in schema:
        schema = parts.pop(schema["$ref"].rpartition("/")[2])
    for part in (schema, *parts.values()):
        if "description" in part:
            part["description"] = cleandoc(part["description"])
        if part.get("type") == "object":
            part["additionalProperties"] = True
    return schema | ({"$defs": parts} if parts else {})


def _move_to_end(properties: dict[str, Any], *members: str) -> None:
    """Published files list members in the order in which they were added, which is not always that of the records."""
    for name in members:
        properties[name] = properties.pop(name)


def _without(schema: dict[str, Any], *members: str) -> dict[str, Any]:
    return {**schema, "properties": {name: of for name, of in schema["properties"].items() if name not in members}}


def _record(name: str, title: str, schema: dict[str, Any]) -> dict[str, Any]:
    return _named(f"record:{name}", title, schema)


def _named(name: str, title: str, schema: dict[str, Any]) -> dict[str, Any]:
    head = {"$schema": DIALECT, "$id": f"urn:simorgh:{name}", "title": title}
    return {**head, **{key: value for key, value in schema.items() if key not in head}}


def _as_json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def main() -> None:
    for path in write(REPOSITORY):
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
