"""Names in past events: event types, properties, traits. Also the names in a rule that were never seen. A rule may be
declared before its first event arrives, so an unknown name gets a warning with similar names, and is never refused.
Known names come from the catalogue and from the warehouse, whose answers are cached for a while, so a very recent name
may still get a warning.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from threading import RLock
from typing import Any, Final, Literal, TypeVar, cast

import orjson

from identity.rules import DEFAULT_RULES
from profile_api.deps import ApiDeps
from schemas.catalog import Catalog
from schemas.errors import InvalidRule
from segments.sql_values import Binder, entered, reached
from segments.tree import (
    AnyItem,
    Condition,
    Consent,
    EventLeaf,
    IdentityLeaf,
    Rule,
    Trait,
    Where,
    children,
)

KEPT_MS: Final = 30_000
_MOST_KEPT: Final = 50
_MOST_NAMES: Final = 10_000
_SAMPLE: Final = 1_000
_LOOKED_AT: Final = 50_000
_MOST_VALUES: Final = 100

_TYPES = f"SELECT type AS name FROM events GROUP BY type LIMIT {_MOST_NAMES}"
_STORED = f"SELECT name FROM traits WHERE kind = {{kind:String}} GROUP BY name LIMIT {_MOST_NAMES}"
_IDENTIFIERS = f"SELECT type AS name FROM identifiers GROUP BY type LIMIT {_MOST_NAMES}"
_EVENTS = f"SELECT payload FROM events WHERE type = {{type:String}} LIMIT {_SAMPLE}"
# Of JSON texts those of texts and numbers, which begin below ':', and booleans.
_VALUES = """SELECT value, count() AS n FROM ({some}) WHERE (value != '' AND value < ':') OR value IN ('true', 'false')
GROUP BY value ORDER BY n DESC, value LIMIT {most}"""

Path = tuple[str, ...]
Of = Literal["types", "properties", "traits", "consents", "identifiers"]
T = TypeVar("T")


class Seen:
    """For any thread. The warehouse gets one query at a time, however many callers declare and preview."""

    def __init__(self, deps: ApiDeps) -> None:
        self._deps = deps
        self._catalog = Catalog.load()
        self._kept: dict[tuple[str, ...], tuple[int, Any]] = {}
        self._looking = RLock()

    # ---- by the contract, or really seen

    def types(self) -> frozenset[str]:
        known = {one.type for one in self._catalog.all()}
        return self._keep(("types",), lambda: frozenset(known | self._names(_TYPES)))

    def stored(self, kind: str) -> frozenset[str]:
        """Names of traits, or purposes of consent (`kind`: as in the table of traits)."""
        known = {path[0] for path in self._described("profile.identified")} if kind == "trait" else set[str]()
        return self._keep((kind,), lambda: frozenset(known | self._names(_STORED, {"kind": kind})))

    def computed(self) -> frozenset[str]:
        """The computed traits."""
        return frozenset(self._deps.registry.traits)

    def identifiers(self) -> frozenset[str]:
        known = {"anonymous_id", *DEFAULT_RULES.priorities, *DEFAULT_RULES.persons}
        return self._keep(("identifiers",), lambda: frozenset(known | self._names(_IDENTIFIERS)))

    def forget(self) -> None:
        self._kept = {}

    def objects(self, event_type: str) -> Mapping[Path, list[str]]:
        """Paths from an envelope's root that lead to objects only, by the contract; with the names in these."""
        schema = self._catalog.schema(event_type) if self._catalog.by_type(event_type) else None
        return dict(_objects(schema, ("properties",))) if schema else {}

    def properties(self, event_type: str) -> frozenset[Path]:
        """Paths from an envelope's root, without places in lists: of the contract, and of a sample of the events."""

        described = frozenset(("properties", *path) for path in self._described(event_type))
        return described | self.sampled(event_type)

    def has(self, event_type: str, path: Path) -> bool:
        """Whether some event of a type has something at a path; looks at many more of them."""
        binder = Binder()
        there, kind = reached(binder, "payload", path[:2], path[2:]), binder.bind(event_type, "String")
        some = f"SELECT payload FROM events WHERE type = {kind} LIMIT {_LOOKED_AT}"
        sql = f"SELECT count() AS n FROM ({some}) WHERE arrayExists(x -> x NOT IN ('', 'null'), {there})"
        return self._keep(
            ("has", event_type, *path), lambda: bool(self._deps.reader.rows(sql, binder.parameters)[0]["n"])
        )

    # ---- really seen

    def names(self, of: Of, event_type: str = "") -> list[str]:
        """In alphabetical order. `event_type`: whose properties."""
        match of:
            case "types":
                return sorted(self._keep(("seen types",), lambda: self._names(_TYPES)))
            case "identifiers":
                return sorted(self._keep(("seen identifiers",), lambda: self._names(_IDENTIFIERS)))
            case "properties":
                return sorted(_written(path) for path in self.sampled(event_type))
            case "traits" | "consents":
                kind = of.removesuffix("s")
                found = self._keep(("seen", kind), lambda: self._names(_STORED, {"kind": kind}))
                return sorted(found | self.computed() if of == "traits" else found)

    def values(self, path: Path, event_type: str | None) -> list[tuple[Any, int]]:
        """Up to 100 texts, numbers and booleans at a path from an envelope's root, or of a trait where there is no
        type; the most frequent first, with its count in the sample."""

        def look() -> list[tuple[Any, int]]:
            binder = Binder()
            if event_type is None:
                name = binder.bind(path[0], "String")
                some = f"SELECT value FROM traits WHERE kind = 'trait' AND name = {name} LIMIT {_LOOKED_AT}"
            else:
                there = entered(reached(binder, "payload", path[:2], path[2:]))
                events = (
                    f"SELECT payload FROM events WHERE type = {binder.bind(event_type, 'String')} LIMIT {_LOOKED_AT}"
                )
                some = f"SELECT arrayJoin({there}) AS value FROM ({events})"
            rows = self._deps.reader.rows(_VALUES.format(some=some, most=_MOST_VALUES), binder.parameters)
            return [(orjson.loads(row["value"]), row["n"]) for row in rows]

        return self._keep(("values", event_type or "", *path), look)

    def sampled(self, event_type: str) -> frozenset[Path]:
        """Paths from an envelope's root, without places in lists, of a sample of the events."""

        def look() -> frozenset[Path]:
            found: set[Path] = set()
            for row in self._deps.reader.rows(_EVENTS, {"type": event_type}):
                payload = orjson.loads(row["payload"])
                for root in ("properties", "context"):
                    found.update(_paths(payload.get(root), (root,)))
                if len(found) > _MOST_NAMES:
                    break
            return frozenset(found)

        return self._keep(("sampled", event_type), look)

    def _described(self, event_type: str) -> Iterable[Path]:
        schema = self._catalog.schema(event_type) if self._catalog.by_type(event_type) else None
        return _schema_paths(schema, ()) if schema else ()

    def _names(self, sql: str, bound: Mapping[str, Any] | None = None) -> set[str]:
        return {row["name"] for row in self._deps.reader.rows(sql, bound)}

    def _keep(self, key: tuple[str, ...], look: Callable[[], T]) -> T:
        known = self._fresh(key)
        if known is None:
            with self._looking:
                known = self._fresh(key)  # another thread may have read it meanwhile
                if known is None:
                    if len(self._kept) >= _MOST_KEPT:
                        self._kept = {}
                    known = self._kept[key] = (self._deps.clock(), look())
        return cast(T, known[1])

    def _fresh(self, key: tuple[str, ...]) -> tuple[int, Any] | None:
        known = self._kept.get(key)
        return known if known and self._deps.clock() - known[0] < KEPT_MS else None


def warnings(seen: Seen, rule: Rule) -> list[dict[str, Any]]:
    """Each `path` of a rule (JSON pointer) to a name that was never seen, with a `message` and similar names
    (`near`)."""
    found = list(_warnings(seen, rule, ""))
    if found:  # no warning for names of the last moment
        seen.forget()
        found = list(_warnings(seen, rule, ""))
    return found


def refuse_objects(seen: Seen, rule: Rule, at: str = "") -> None:
    """Raises `InvalidRule` for a test of texts or numbers on a value that the contract says is an object: it would
    never hold."""
    for step, child in children(rule):
        refuse_objects(seen, child, f"{at}{step}")
    for pointer, path in _tested(rule, at) if isinstance(rule, EventLeaf) else ():
        inner = seen.objects(rule.type).get(_names(path)) if isinstance(rule, EventLeaf) else None
        if inner:
            raise InvalidRule(
                f"rule at {pointer}: wanted a property that holds texts or numbers, got one that holds objects;"
                f" name one of theirs, such as {_written((*_names(path), inner[0]))}",
                path=pointer,
            )


def _warnings(seen: Seen, rule: Rule, at: str) -> Iterator[dict[str, Any]]:
    match rule:
        case Trait(path=path):
            yield from _never(f"{at}/trait", "trait", path[0], seen.stored("trait") | seen.computed())
        case Consent(purpose=purpose):
            yield from _never(f"{at}/consent", "consent", purpose, seen.stored("consent"))
        case IdentityLeaf(type=kind):
            yield from _never(f"{at}/identity", "identifier of the type", kind, seen.identifiers())
        case EventLeaf():
            yield from _event_warnings(seen, rule, at)
        case _:
            for step, child in children(rule):
                yield from _warnings(seen, child, f"{at}{step}")


def _event_warnings(seen: Seen, leaf: EventLeaf, at: str) -> Iterator[dict[str, Any]]:
    if leaf.type not in seen.types():
        yield from _never(f"{at}/event", "event of the type", leaf.type, seen.types())
        return
    tested = {pointer for pointer, _ in _tested(leaf, at)}
    known = seen.properties(leaf.type)
    for pointer, path in _properties(leaf, at):
        names = _names(path)
        below = sorted(_written(one) for one in known if one[:-1] == names) if pointer in tested else []
        if below:
            name = _written(names)
            yield {
                "path": pointer,
                "message": f"{name} has been seen to hold objects, which pass no test; name one of theirs: {below[0]}",
                "near": below[:3],
            }
        if names not in known and not seen.has(leaf.type, path):
            written = {_written(one) for one in known}
            yield from _never(pointer, f"property of {leaf.type} with the name", _written(names), written)


def _names(path: Path) -> Path:
    """Without places in lists."""
    return tuple(part for part in path if not part.isdigit())


def _tested(leaf: EventLeaf, at: str) -> Iterator[tuple[str, Path]]:
    """The paths whose values must be texts, numbers or booleans."""
    asked = {
        f"{at}/where/{i}/property" for i, one in enumerate(leaf.where) if isinstance(one, Where) and _only_exists(one)
    }
    for pointer, path in _properties(leaf, at):
        if pointer not in asked and not pointer.endswith("/any_item"):
            yield pointer, path


def _only_exists(condition: Where) -> bool:
    return all(test.op == "exists" for test in condition.tests)


def _properties(leaf: EventLeaf, at: str) -> Iterator[tuple[str, Path]]:
    yield from _condition_paths(leaf.where, f"{at}/where", ())
    if leaf.of:
        yield f"{at}/of", leaf.of


def _condition_paths(where: Iterable[Condition], at: str, outer: Path) -> Iterator[tuple[str, Path]]:
    for i, condition in enumerate(where):
        path = (*outer, *condition.path)
        if isinstance(condition, AnyItem):
            yield f"{at}/{i}/any_item", path
            yield from _condition_paths(condition.where, f"{at}/{i}/where", path)
        else:
            yield f"{at}/{i}/property", path


def _written(path: Path) -> str:
    return ".".join(path[1:] if path[0] == "properties" else path)


def _never(at: str, what: str, name: str, known: Iterable[str]) -> Iterator[dict[str, Any]]:
    if name in (names := set(known)):
        return
    near = _near(name, names)
    hint = f"; near ones are {', '.join(near)}" if near else ""
    yield {"path": at, "message": f"no {what} {name} has been seen yet{hint}", "near": near}


def _near(name: str, known: set[str]) -> list[str]:
    """Up to three, the nearest first; spelling of words apart (case, dots, dashes) counts for nothing."""
    by_plain: dict[str, str] = {}
    for one in sorted(known):
        by_plain.setdefault(_plain(one), one)
    return [by_plain[plain] for plain in get_close_matches(_plain(name), by_plain, 3, 0.7)]


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())


def _paths(value: Any, path: Path) -> Iterator[Path]:
    if isinstance(value, dict) and len(path) < 8:
        for name, below in value.items():
            yield (*path, name)
            yield from _paths(below, (*path, name))
    elif isinstance(value, list):
        for item in value[:20]:
            if isinstance(item, dict):
                yield from _paths(item, path)


def _objects(schema: Mapping[str, Any], path: Path) -> Iterator[tuple[Path, list[str]]]:
    for name, below in schema.get("properties", {}).items():
        found = below.get("items") if isinstance(below.get("items"), dict) else below
        kinds = {found.get("type")} if isinstance(found.get("type"), str) else set(found.get("type", ()))
        if kinds and kinds <= {"object", "null"} and found.get("properties"):
            yield (*path, name), list(found["properties"])
            yield from _objects(found, (*path, name))


def _schema_paths(schema: Mapping[str, Any], path: Path) -> Iterator[Path]:
    for name, below in schema.get("properties", {}).items():
        yield (*path, name)
        yield from _schema_paths(below, (*path, name))
    if isinstance(items := schema.get("items"), dict):
        yield from _schema_paths(items, path)
