"""What an answer shows to a token without the scope `personal`: decided in one place, by the model of the answer.

A value is shown where its model declares it with a type of its own, such as `str` or `int`. What is `Any`, or is not in
the model, is hidden; what is annotated with a `Mask` is shown as that says. So a route that nobody thought about
hides too much, never too little. `JsonReply` calls `shown` when it is made.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from privacy.masks import HIDDEN, FieldMarks, Masks, masked
from registry.models import Source, TraitDeclaration


@dataclass(frozen=True, eq=False)
class Mask:
    """`show` gets a value, the object that it is a member of, and the workspace's masks."""

    show: Callable[[Any, Mapping[str, Any], Masks], Any]


SHOWN: Final = Mask(lambda value, around, masks: value)
"""No person's, whatever it holds: settings, schemas."""

PERSONAL: Final = Mask(lambda value, around, masks: None if value is None else HIDDEN)
IDENTIFIER: Final = Mask(lambda value, around, masks: masked(value))
TRAITS: Final = Mask(lambda value, around, masks: value and masks.traits(value, source=_source(around)))
PROPERTIES: Final = Mask(
    lambda value, around, masks: value and masks.properties(value, str(around.get("type", "")), _source(around))
)
ACCOUNT_TRAITS: Final = Mask(lambda value, around, masks: value and masks.account_traits(value))
CONTEXT: Final = Mask(lambda value, around, masks: value and masks.context(value, _source(around)))
CHOICE: Final = Mask(lambda value, around, masks: value if isinstance(value, bool) else value and HIDDEN)
"""Of consent: yes, no, or a text of the sender's."""

PURPOSE: Final = Mask(lambda value, around, masks: masks.purpose(value))
CONSENT: Final = Mask(
    lambda value, around, masks: (
        value and {masks.purpose(name): CHOICE.show(one, value, masks) for name, one in value.items()}
    )
)
STANDINGS: Final = Mask(
    lambda value, around, masks: (
        value
        and {
            masks.purpose(name): {**one, "choice": CHOICE.show(one.get("choice"), one, masks)}
            for name, one in value.items()
        }
    )
)
"""By purpose, of which those that nobody declared are one."""

FLAGS: Final = Mask(lambda value, around, masks: [str(flag).partition(":")[0] for flag in value or ()])
"""What follows the colon is the path of a property, whose name may be anything."""

REASON: Final = Mask(lambda value, around, masks: HIDDEN if "by" in around and value else value)
"""A steward's is free text."""

RULE: Final = Mask(lambda value, around, masks: masks.rule(value))


def _source(around: Mapping[str, Any]) -> str:
    """The source of an event, by which its own declaration counts; none for what is not of one source."""
    found = around.get("source")
    return found if isinstance(found, str) else ""


def _why(value: Any, around: Mapping[str, Any], masks: Masks) -> Any:
    """A node of the tree that tells why somebody is in a segment."""
    if not isinstance(value, Mapping):
        return HIDDEN
    told = {name: value[name] for name in ("holds",) if name in value}
    if "node" in value:
        told["node"] = masks.rule(value["node"])
    if "children" in value:
        told["children"] = [_why(child, value, masks) for child in value["children"]]
    if "evidence" in value:
        told["evidence"] = _evidence(value["evidence"])
    return told


def _evidence(evidence: Mapping[str, Any]) -> Any:
    if "events" not in evidence:
        return {"value": masked(evidence.get("value"))}
    return {**evidence, "events": [{**event, "id": HIDDEN} for event in evidence["events"]]}


WHY: Final = Mask(_why)


def _delivery(value: Any, around: Mapping[str, Any], masks: Masks) -> Any:
    """The body of a delivery: `{"type", "timestamp", "data"}`."""
    if not isinstance(value, Mapping) or not isinstance(value.get("data"), Mapping):
        return HIDDEN
    ours = ("segment", "profile_id", "trigger", "transition_id", "cause", "entered_at")
    data = {name: one if name in ours else HIDDEN for name, one in value["data"].items()}
    if isinstance(value["data"].get("identities"), list):
        data["identities"] = [
            {"type": one.get("type"), "value": masked(one.get("value"))} for one in value["data"]["identities"]
        ]
    head = {name: one if name in ("type", "timestamp") else HIDDEN for name, one in value.items()}
    return head | {"data": data}


DELIVERY: Final = Mask(_delivery)


def masks_of(
    sources: Mapping[str, Source],
    purposes: Collection[str],
    traits: Mapping[str, TraitDeclaration] = MappingProxyType({}),
) -> Masks:
    """The masks that hold for a workspace with these sources, names of purposes, and computed traits. What is computed
    from personal fields is personal."""
    said = {name: FieldMarks.of(one.personal, one.not_personal) for name, one in sources.items()}
    masks = Masks({name: one for name, one in said.items() if one != FieldMarks()}, purposes=purposes)
    return masks.with_computed({name: one.compute for name, one in traits.items()}) if traits else masks


def shown(model: Any, answer: Any, masks: Masks) -> Any:
    """An answer of this model, as whoever may not see personal values sees it."""
    return _shown(model, answer, {}, masks)


def _shown(kind: Any, value: Any, around: Mapping[str, Any], masks: Masks) -> Any:
    if value is None:
        return None
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        mark = next((one for one in inner[1:] if isinstance(one, Mask)), None)
        return mark.show(value, around, masks) if mark else _shown(inner[0], value, around, masks)
    if origin in (Union, UnionType):
        return _shown(_fitting(inner, value), value, around, masks)
    if isinstance(value, Mapping):
        return _object(kind, inner, value, masks)
    if isinstance(value, list | tuple):
        return [_shown(inner[0], one, around, masks) for one in value] if origin in (list, tuple) and inner else HIDDEN
    plain = origin is Literal or kind in (str, int, float, bool)
    return value if plain else HIDDEN


def _object(kind: Any, inner: tuple[Any, ...], value: Mapping[str, Any], masks: Masks) -> Any:
    if get_origin(kind) is dict:
        return {name: _shown(inner[1], one, value, masks) for name, one in value.items()}
    if _is_model(kind):
        if getattr(kind, "OPEN", False):
            return value
        fields = _fields(kind)
        return {
            name: _shown(fields[name], one, value, masks) if name in fields else HIDDEN for name, one in value.items()
        }
    return HIDDEN


@lru_cache(maxsize=256)
def _fields(model: type[BaseModel]) -> dict[str, Any]:
    """The members of a model with their types and marks."""
    return {
        field.alias or name: Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
        for name, field in model.model_fields.items()
    }


def _fitting(kinds: tuple[Any, ...], value: Any) -> Any:
    """Of several types the one that a value is of; of models the one that asks for most."""
    fitting = [kind for kind in kinds if kind is not NoneType and _fits(kind, value)]
    return max(fitting, key=lambda kind: len(_required(kind)), default=Any)


def _fits(kind: Any, value: Any) -> bool:
    base = get_origin(kind) or kind
    if isinstance(value, Mapping):
        return base is dict or (_is_model(base) and _required(base) <= value.keys())
    if isinstance(value, list | tuple):
        return base in (list, tuple)
    if base is float:
        return not isinstance(value, str)  # an exact number, too
    return base in (Annotated, Literal) or (isinstance(base, type) and isinstance(value, base))


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _required(kind: Any) -> set[str]:
    if not _is_model(kind):
        return set()
    return {field.alias or name for name, field in kind.model_fields.items() if field.is_required()}
