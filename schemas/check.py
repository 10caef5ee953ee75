"""`simorgh schemas check`: a published schema may not change, and a new version may not break the one before.

`schemas/published.lock.json` holds a digest and a summary of every published file. `python -m schemas.check`
prints one line per problem and exits 1; with `--publish` it adds the files that are new, when there is no
problem. A version may break the one before only where an upcaster (`schemas.upcasters`) lifts the old events.
"""

import json
import re
import sys
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
from jsonschema import Draft202012Validator, SchemaError  # type: ignore[import-untyped]  # ships no types

from schemas.compatibility import breaks, summary
from schemas.upcasters import UPCASTERS

HERE: Final = Path(__file__).parent
LOCK: Final = "published.lock.json"
PATTERNS: Final = ("events/*.json", "records/*.json", "envelope.v*.json")

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_VERSIONED: Final = re.compile(r"(?P<name>.+)\.v(?P<version>[1-9][0-9]*)\.json")

Lock = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class SchemaFault:
    """`kind`: invalid, changed, removed, breaks or gap; `path` is relative to the schemas folder."""

    path: str
    kind: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def check_published(root: Path = HERE, lifted: Container[tuple[str, int]] = UPCASTERS) -> list[SchemaFault]:
    """Everything that is wrong with the schema files under `root`, sorted by path; reads only.

    `lifted` says which (type, version) have an upcaster to the next version.
    """
    texts = _texts(root)
    invalid = list(_invalid(texts))
    schemas = {path: json.loads(text) for path, text in texts.items() if path not in {p.path for p in invalid}}
    problems = [*invalid, *_edited(read_lock(root), texts, schemas), *_incompatible(schemas, lifted)]
    return sorted(problems, key=lambda problem: problem.path)


def unpublished(root: Path = HERE) -> list[str]:
    """The files that are not in the lock yet: they may still change."""
    return sorted(set(_texts(root)) - set(read_lock(root)))


def publish(root: Path = HERE) -> list[str]:
    """Add the new files to the lock and return them. Call it only when `check_published` found nothing."""
    lock, new = read_lock(root), unpublished(root)
    texts = _texts(root)
    for path in new:
        lock[path] = {"sha256": _digest(texts[path]), "summary": summary(json.loads(texts[path]))}
    (root / LOCK).write_text(_lock_text(lock), encoding="utf-8")
    return new


def read_lock(root: Path) -> Lock:
    """The published files by path; empty where nothing was published."""
    path = root / LOCK
    lock: Lock = json.loads(path.read_bytes()) if path.exists() else {}
    return lock


def _lock_text(lock: Lock) -> str:
    """One line per file: two branches that publish different files merge without a conflict in between."""
    lines = (f"{json.dumps(path)}: {json.dumps(lock[path], sort_keys=True)}" for path in sorted(lock))
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _texts(root: Path) -> dict[str, bytes]:
    files = (path for pattern in PATTERNS for path in sorted(root.glob(pattern)))
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def _digest(text: bytes) -> str:
    # A checkout with Windows line endings is not a change.
    return sha256(text.replace(b"\r\n", b"\n")).hexdigest()


def _invalid(texts: Mapping[str, bytes]) -> Iterator[SchemaFault]:
    for path, text in texts.items():
        if _VERSIONED.fullmatch(path) is None:
            yield SchemaFault(path, "invalid", "wanted a file name like <type>.v<version>.json; rename it")
            continue
        try:
            _check_schema(json.loads(text))
        except (ValueError, SchemaError) as error:
            reason = error.message if isinstance(error, SchemaError) else "not JSON"
            yield SchemaFault(path, "invalid", f"wanted a JSON Schema 2020-12, got an invalid one ({reason}); fix it")


def _check_schema(schema: Any) -> None:
    """Raises `SchemaError`. The fast library judges; the slow one, a hundred times slower, says what is wrong."""
    if not (isinstance(schema, dict) and jsonschema_rs.meta.is_valid({**schema, "$schema": _DIALECT})):
        Draft202012Validator.check_schema(schema)


def _edited(lock: Lock, texts: Mapping[str, bytes], schemas: Mapping[str, Any]) -> Iterator[SchemaFault]:
    for path, published in lock.items():
        if path not in texts:
            yield SchemaFault(path, "removed", "published and removed; restore it, events of it are in the log")
        elif _digest(texts[path]) != published["sha256"]:
            broken = breaks(published["summary"], summary(schemas[path])) if path in schemas else []
            found = f" ({'; '.join(broken)})" if broken else ""
            yield SchemaFault(path, "changed", f"published and changed{found}; restore it and add a new version")


def _incompatible(schemas: Mapping[str, Any], lifted: Container[tuple[str, int]]) -> Iterator[SchemaFault]:
    for name, versions in _families(schemas).items():
        for version in sorted(versions):
            path, before = versions[version], versions.get(version - 1)
            if before is not None and (Path(name).name, version - 1) not in lifted:
                yield from _broken(path, schemas[before], schemas[path])
            elif before is None and version > min(versions):
                yield SchemaFault(path, "gap", f"wanted version {version - 1} beside it, got none; skip no number")


def _broken(path: str, old: Any, new: Any) -> Iterator[SchemaFault]:
    for fault in breaks(summary(old), summary(new)):
        yield SchemaFault(path, "breaks", f"{fault}, unlike the version before; take it back or write an upcaster")


def _families(paths: Mapping[str, Any]) -> dict[str, dict[int, str]]:
    families: dict[str, dict[int, str]] = {}
    for path in paths:
        if found := _VERSIONED.fullmatch(path):
            families.setdefault(found["name"], {})[int(found["version"])] = path
    return families


def main(arguments: Sequence[str] = ()) -> int:
    """Print the problems, one per line; 1 if there are any, else `--publish` locks the new files."""
    problems = check_published()
    for problem in problems:
        print(problem)
    if problems:
        return 1
    if "--publish" in arguments:
        print(f"published {len(publish())} new schemas")
    else:
        print(f"{len(read_lock(HERE))} published schemas unchanged, {len(unpublished())} not published yet")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
