"""What is shown of people to whoever may not see personal values. Pure.

What a schema declares and does not mark as personal is shown. What it marks is masked: `s…@example.com`, `+98…12`, else
`…`. What no schema declares counts as personal, its name too: it becomes one member `…`. A source may declare paths to
be personal, or not to be: `traits.city`, `properties.plan`, `context.campaign`. The longest path that fits decides, and
`personal` wins over `open`.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from schemas.catalog import Catalog

HIDDEN: Final = "…"
_EMAIL: Final = re.compile(r"[^@\s]+@([^@\s]+\.[^@\s]+)")
_PHONE: Final = re.compile(r"\+\d{8,15}")
_PERSON: Final = "profile.identified"
_GROUP: Final = "group.joined"
_ORIGIN: Final = frozenset({"value", "source", "channel", "time"})
"""The members of a trait that is shown with where it came from."""

Path = tuple[str, ...]


def masked(value: object) -> str | None:
    """What is shown of a personal value: something to recognise an address or a number by, not to reach it."""
    if value is None:
        return None
    if isinstance(value, str):
        if found := _EMAIL.fullmatch(value):
            return f"{value[0]}{HIDDEN}@{found[1]}"
        if _PHONE.fullmatch(value):
            return f"{value[:3]}{HIDDEN}{value[-2:]}"
    return HIDDEN


@dataclass(frozen=True, slots=True)
class FieldMarks:
    """What a source says of its own fields, as paths such as `traits.city`."""

    personal: frozenset[Path] = frozenset()
    open: frozenset[Path] = frozenset()

    @staticmethod
    def of(personal: Iterable[str], open: Iterable[str]) -> "FieldMarks":
        return FieldMarks(*(frozenset(tuple(path.split(".")) for path in paths) for paths in (personal, open)))

    def says(self, path: Path) -> bool | None:
        """Whether a path is open; None where nothing is said of it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.personal:
                return False
            if path[:length] in self.open:
                return True
        return None

    def without(self, traits: Iterable[str]) -> "FieldMarks":
        """Without what is said of these traits."""
        names = set(traits)
        kept = ({path for path in paths if path[:1] != ("traits",) or path[1] not in names} for paths in self._both)
        return FieldMarks(*map(frozenset, kept))

    def saying(self, path: Path, *, is_open: bool) -> "FieldMarks":
        personal, opened = self._both
        return FieldMarks(personal, opened | {path}) if is_open else FieldMarks(personal | {path}, opened)

    @property
    def _both(self) -> tuple[frozenset[Path], frozenset[Path]]:
        return self.personal, self.open

    def opens_below(self, path: Path) -> bool:
        return any(one[: len(path)] == path for one in self.open)


_NOTHING: Final = FieldMarks()


class Masks:
    """The masks of a workspace. `declared`: by source; sources that say nothing may be left out. `purposes`: the names
    of those that are declared."""

    def __init__(
        self, declared: Mapping[str, FieldMarks], catalog: Catalog | None = None, purposes: Collection[str] = ()
    ) -> None:
        self._declared = declared
        self._purposes = purposes
        self._catalog = catalog or Catalog.load()
        self._computed: frozenset[str] = frozenset()
        personal: frozenset[Path] = frozenset().union(*(one.personal for one in declared.values()))
        self._any = FieldMarks(personal, frozenset().union(*(one.open for one in declared.values())))
        """For what is shown without its source, such as a profile's traits: personal where any source says so."""

    def with_computed(self, traits: Mapping[str, Any]) -> "Masks":
        """With these computed traits, name -> what it is made of: shown where nothing that it is made of is personal,
        and hidden else, whatever is sent under the name."""
        masks = Masks(self._declared, self._catalog, self._purposes)
        masks._any = self._any.without(traits)
        waiting = dict(traits)
        while waiting:
            ready = [name for name, made in waiting.items() if waiting.keys().isdisjoint(_read(made) - {name})]
            for name in ready or list(waiting):  # in a ring, which is not in effect, all are hidden
                hides = not ready or next(masks.hidden_in(waiting[name]), None) is not None
                masks._any = masks._any.saying(("traits", name), is_open=not hides)
                del waiting[name]
        masks._computed = frozenset(traits)
        return masks

    def is_open(self, path: Path, event_type: str = "", source: str = "") -> bool:
        """Whether the value at a path from an envelope's root (`traits`, `properties` or `context` first) is shown."""
        said = self._of(source).says(path)
        if said is not None:
            return said
        node: Any = self._schema(path[0], event_type)
        for name in path[1:]:
            node = node.get("items", node).get("properties", {}).get(name)
            if node is None or node.get("x-personal"):
                return False
        return len(path) > 1

    def purpose(self, name: str) -> str:
        """The name of a purpose. One that nobody declared is a text of a sender's."""
        return name if name in self._purposes else HIDDEN

    def is_declared(self, path: Path, event_type: str = "") -> bool:
        """Whether a name is one that somebody has declared, and no person's data."""
        if self._any.says(path) is not None:
            return True
        node: Any = self._schema(path[0], event_type)
        for name in path[1:]:
            node = node.get("items", node).get("properties", {}).get(name)
            if node is None:
                return False
        return True

    def traits(self, values: Mapping[str, Any], event_type: str = _PERSON, source: str = "") -> dict[str, Any]:
        return self._object(values, ("traits",), self._schema("traits", event_type), self._of(source))

    def properties(self, values: Mapping[str, Any], event_type: str, source: str) -> dict[str, Any]:
        return self._object(values, ("properties",), self._schema("properties", event_type), self._of(source))

    def account_traits(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """As in the events that tell them; each may be shown with where it came from."""
        plain = {name: one["value"] if _has_origin(one) else one for name, one in values.items()}
        shown: dict[str, Any] = self.properties({"traits": plain}, _GROUP, "")["traits"]
        return {
            name: values[name] | {"value": one} if name in values and _has_origin(values[name]) else one
            for name, one in shown.items()
        }

    def context(self, values: Mapping[str, Any], source: str) -> dict[str, Any]:
        return self._object(values, ("context",), {}, self._of(source))

    def _of(self, source: str) -> FieldMarks:
        return self._declared.get(source, _NOTHING) if source else self._any

    def _schema(self, member: str, event_type: str) -> Mapping[str, Any]:
        """Of the object that stands at this member of an event. Traits are those of a person everywhere."""
        if member == "traits":
            return self._catalog.schema(_PERSON) or {}
        schema = self._catalog.schema(event_type) or {}
        applies = schema.get("x-simorgh", {}).get("applies_to", "properties")
        return schema if member == applies else {}

    def _object(
        self, values: Mapping[str, Any], at: Path, schema: Mapping[str, Any], said: FieldMarks
    ) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        for name, value in values.items():
            path, field = (*at, name), schema.get("properties", {}).get(name)
            is_open = said.says(path)
            if is_open is None and field is not None:
                is_open = not field.get("x-personal")
            if is_open is not None or said.opens_below(path):
                shown[name] = self._with_origin(value, path, field or {}, said, is_open)
            else:
                shown[HIDDEN] = HIDDEN
        return shown

    def _with_origin(
        self, value: Any, path: Path, field: Mapping[str, Any], said: FieldMarks, is_open: bool | None
    ) -> Any:
        of_trait = path[0] == "traits" and len(path) == 2
        if of_trait and path[1] in self._computed and isinstance(value, dict):
            hidden = {"shadowed": HIDDEN} if "shadowed" in value else {}
            value = {name: one for name, one in value.items() if name != "shadowed"} | hidden
            if "computed" in value or hidden:
                return value | {"value": self._value(value["value"], path, field, said, is_open)}
        if of_trait and _has_origin(value):
            return value | {"value": self._value(value["value"], path, field, said, is_open)}
        return self._value(value, path, field, said, is_open)

    def _value(self, value: Any, path: Path, field: Mapping[str, Any], said: FieldMarks, is_open: bool | None) -> Any:
        """`is_open`: None where something below may be."""
        if is_open is False and not said.opens_below(path):
            return masked(value)
        if isinstance(value, dict):
            if is_open and said.says(path):
                below = {name: (one, (*path, name)) for name, one in value.items()}
                return {name: self._value(one, at, {}, said, said.says(at)) for name, (one, at) in below.items()}
            return self._object(value, path, field, said)
        if isinstance(value, list):
            return [self._value(one, path, field.get("items", {}), said, is_open) for one in value]
        return value if is_open else masked(value)

    # ---- rules of segments

    def rule(self, written: Any) -> Any:
        """A segment's rule, or a part of it, without what personal values are compared with."""
        return self._rule(written, "", ())

    def _rule(self, part: Any, event_type: str, item: Path) -> Any:
        if isinstance(part, list):
            return [self._rule(one, event_type, item) for one in part]
        if not isinstance(part, Mapping):
            return part
        event_type, path = str(part.get("event", event_type)), compared(part, item)
        hides = path is not None and not self.is_open(path, event_type)
        item = (*item, *str(part.get("any_item", "")).split(".")) if "any_item" in part else item
        return {
            name: HIDDEN if hides and name not in _NAMES else self._rule(one, event_type, item)
            for name, one in part.items()
        }

    def hidden_in(self, written: Any) -> Iterator[str]:
        """What a rule compares and may not be seen, as it is written there: an answer would tell the values."""
        yield from self._hidden_in(written, "", ())

    def _hidden_in(self, part: Any, event_type: str, item: Path) -> Iterator[str]:
        if isinstance(part, list):
            for one in part:
                yield from self._hidden_in(one, event_type, item)
        if not isinstance(part, Mapping):
            return
        if isinstance(types := part.get("event"), list):  # of a computed trait
            for one in types:
                yield from self._hidden_in({**part, "event": one}, "", item)
            return
        event_type, path = str(part.get("event", event_type)), compared(part, item)
        operands = set(part) - _NAMES
        if path is not None and operands and not self.is_open(path, event_type):
            yield ".".join(path)
        of = part.get("of")
        if isinstance(of, str) and not of.startswith("$") and not self.is_open(_from_root(of, ()), event_type):
            yield of
        item = (*item, *str(part["any_item"]).split(".")) if "any_item" in part else item
        for one in part.values():
            yield from self._hidden_in(one, event_type, item)


def _has_origin(value: Any) -> bool:
    """Whether it is a trait with where it came from."""
    return isinstance(value, dict) and "value" in value and value.keys() <= _ORIGIN


def _read(made: Any) -> set[str]:
    """The traits that a rule or a computation reads."""
    if isinstance(made, list):
        return set[str]().union(*map(_read, made))
    if not isinstance(made, Mapping):
        return set()
    own = {str(made["trait"]).partition(".")[0]} if "trait" in made else set[str]()
    return own.union(*map(_read, made.values()))


_NAMES: Final = frozenset({"trait", "property", "exists"})
"""Members of a leaf or a condition that hold no operand."""


def compared(leaf: Mapping[str, Any], item: Path = ()) -> Path | None:
    """From an envelope's root, what a leaf of a rule or a condition compares; None where that is no value of an event
    or a trait. `item`: the list whose objects a condition is about."""
    if isinstance(leaf.get("trait"), str):
        return ("traits", *_parts(leaf["trait"]))
    return _from_root(leaf["property"], item) if isinstance(leaf.get("property"), str) else None


def _from_root(written: str, item: Path) -> Path:
    parts = (*item, *_parts(written))
    return parts if parts[0] in ("properties", "context") and len(parts) > 1 else ("properties", *parts)


def _parts(written: str) -> Path:
    """Without places in lists."""
    return tuple(part for part in written.split(".") if not part.isdigit()) or ("",)
