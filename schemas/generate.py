"""Writes what is generated from the tables and models: `python -m schemas.generate`.

- `schemas/events/<type>.v<version>.json` from `schemas/sets/`
- `schemas/envelope.v2.json` and `schemas/records/*.json` from the models
- `docs/events.md`, the page that lists every event

It only ever writes these files; a published one that would change is for `python -m schemas.check` to find.
"""

import json
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from schemas.envelope import Envelope
from schemas.event_docs import events_page
from schemas.fields import DIALECT, schema_of
from schemas.record_models import Claim, IdentityRecord, OwnedTransition, RejectedEvent, Touch, Transition
from schemas.sets import ALL

REPOSITORY: Final = Path(__file__).parent.parent

_MODELS: Final[tuple[tuple[str, str, str, Any], ...]] = (
    ("envelope.v2.json", "envelope:2", "Envelope of simorgh.events", Envelope),
    ("records/segments.transition.v1.json", "record:segments.transition:1", "simorgh.segments", Transition),
    ("records/segments.transition.v2.json", "record:segments.transition:2", "simorgh.segments", OwnedTransition),
    ("records/segments.claim.v1.json", "record:segments.claim:1", "simorgh.segments", Claim),
    ("records/touched.v1.json", "record:touched:1", "simorgh.touched", Touch),
    ("records/identity.v2.json", "record:identity:2", "simorgh.identity", IdentityRecord),
    ("records/rejected.v1.json", "record:rejected:1", "simorgh.rejected", RejectedEvent),
)


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
    return {f"schemas/{path}": _as_json(_model_schema(*about)) for path, *about in _MODELS}


def _model_schema(name: str, title: str, model: Any) -> dict[str, Any]:
    schema = TypeAdapter(model).json_schema(mode="validation", by_alias=True)
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
