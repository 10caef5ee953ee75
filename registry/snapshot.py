"""The declarations after a number of records: the fold, and the immutable view for readers."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from registry.models import (
    CONSTANT,
    POISON,
    SET_ASIDE,
    STOPPED,
    Declaration,
    Purpose,
    RegistryRecord,
    Retention,
    SegmentDeclaration,
    Source,
    Token,
    TraitDeclaration,
    Trigger,
    trait_unit,
)
from schemas.wanted import wrong_parts

logger = logging.getLogger(__name__)

MODELS: Mapping[str, type[Declaration]] = {
    "source": Source,
    "token": Token,
    "segment": SegmentDeclaration,
    "trait": TraitDeclaration,
    "trigger": Trigger,
    "purpose": Purpose,
    "retention": Retention,
}
"""The kinds whose bodies are checked here; the others are plain objects to the registry."""


_MOST_LEAVING = 1_000


@dataclass(frozen=True, slots=True)
class Effect:
    """The progress of the latest declaration or deletion of a segment or computed trait: its offset, and why it is set
    aside, if it is."""

    offset: int
    aside: str | None = None
    leaving: SegmentDeclaration | TraitDeclaration | None = None
    """What was deleted."""


@dataclass(frozen=True, slots=True)
class Declared:
    """`position` is the offset of the first record that is not folded yet. Nobody changes the mappings."""

    position: int = 0
    sources: Mapping[str, Source] = field(default_factory=dict)
    tokens: Mapping[str, Token] = field(default_factory=dict)
    segments: Mapping[str, SegmentDeclaration] = field(default_factory=dict)
    triggers: Mapping[str, Trigger] = field(default_factory=dict)
    rules: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    """In the order in which they were declared: the last holds."""
    effects: Mapping[str, Effect] = field(default_factory=dict)
    """By segment and computed trait (`trait_unit`); of deleted ones the latest."""
    poison: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    """What the projections have set aside, by its name: the stage, and the reason."""
    stopped: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    """The stages that have stopped after setting aside too many inputs -> the reason."""
    purposes: Mapping[str, Purpose] = field(default_factory=dict)
    retentions: Mapping[str, Retention] = field(default_factory=dict)
    traits: Mapping[str, TraitDeclaration] = field(default_factory=dict)
    constants: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    """What computed traits (`trait_unit`) reckon with: `usual_gap`, for a `version`."""

    def fold(self, records: Iterable[tuple[int, RegistryRecord | None]]) -> "Declared":
        """The snapshot with the records at these offsets added; None stands for an unreadable record.

        Merges and splits are commands, not declarations: they only move the position. An invalid body is skipped with a
        warning, since one bad record must not stop the rest.
        """
        position = self.position
        folded: dict[str, dict[str, Any]] = {
            "source": dict(self.sources),
            "token": dict(self.tokens),
            "segment": dict(self.segments),
            "trigger": dict(self.triggers),
            "rules": dict(self.rules),
            POISON: dict(self.poison),
            STOPPED: dict(self.stopped),
            "purpose": dict(self.purposes),
            "retention": dict(self.retentions),
            "trait": dict(self.traits),
            CONSTANT: dict(self.constants),
        }
        effects = dict(self.effects)
        for offset, record in records:
            position = offset + 1
            if record is None:
                continue
            if record.kind in ("segment", "trait", SET_ASIDE):
                _note_effect(effects, folded.get(record.kind, {}), offset, record)
            if record.kind in folded:
                _apply(folded[record.kind], offset, record)
        sources, tokens, segments, triggers, rules, *more = folded.values()
        return Declared(position, sources, tokens, segments, triggers, rules, effects, *more)

    def ids(self, kind: str) -> Mapping[str, Any]:
        """The declarations of one kind by id; empty for commands."""
        of_kind: dict[str, Mapping[str, Any]] = {
            "source": self.sources,
            "token": self.tokens,
            "segment": self.segments,
            "trait": self.traits,
            "trigger": self.triggers,
            "purpose": self.purposes,
            "retention": self.retentions,
            "rules": self.rules,
        }
        return of_kind.get(kind, {})


def _note_effect(effects: dict[str, Effect], known: Mapping[str, Any], offset: int, record: RegistryRecord) -> None:
    """`known`: the segments or traits before the record."""
    name = trait_unit(record.id) if record.kind == "trait" else record.id
    if record.kind == SET_ASIDE:
        before = effects.get(record.id)
        if before and before.leaving is None and before.offset == record.body.get("offset"):
            effects[record.id] = Effect(before.offset, str(record.body.get("reason", "")))
        return
    effects.pop(name, None)
    if record.op == "put":
        effects[name] = Effect(offset)
    elif record.id in known:
        effects[name] = Effect(offset, leaving=known[record.id])
        leaving = [one for one, effect in effects.items() if effect.leaving]
        for oldest in leaving[:-_MOST_LEAVING]:
            del effects[oldest]


def _apply(declarations: dict[str, Any], offset: int, record: RegistryRecord) -> None:
    if record.op == "delete":
        declarations.pop(record.id, None)
        return
    try:
        model = MODELS.get(record.kind)
        declaration = model.model_validate(record.body) if model else record.body
    except ValidationError as error:
        if record.kind == "segment":
            declaration = _unfit(record)
        else:
            logger.warning("registry record %d (%s) does not fit, left out: %s", offset, record.kind, faults(error))
            return
    declarations.pop(record.id, None)
    declarations[record.id] = declaration


def _unfit(record: RegistryRecord) -> SegmentDeclaration:
    """The readable part of an invalid segment: the projections set it aside, and an operator can delete it."""
    name, rule, version = (record.body.get(key) for key in ("name", "rule", "version"))
    return SegmentDeclaration.model_construct(
        id=record.id,
        name=name if isinstance(name, str) else "",
        rule=rule if isinstance(rule, dict) else {},
        version=version if type(version) is int and version > 0 else 1,
        created_at=record.at,
    )


def faults(error: ValidationError) -> str:
    """The wrong fields and what was wanted, without the values."""
    return "; ".join(f"{'.'.join(map(str, part.path)) or 'body'}: {part.message}" for part in wrong_parts(error))


class Snapshot:
    """The declarations, with those of the environment, indexed for authentication."""

    def __init__(self, declared: Declared, env_source: Source | None, env_token: Token | None) -> None:
        sources, tokens = dict(declared.sources), dict(declared.tokens)
        if env_source is not None:
            sources[env_source.id] = env_source
        if env_token is not None:
            tokens[env_token.id] = env_token
        self.declared = declared
        self.sources = MappingProxyType(sources)
        self.tokens = MappingProxyType(tokens)
        self.segments = MappingProxyType(declared.segments)
        self.triggers = MappingProxyType(declared.triggers)
        self.purposes = MappingProxyType(declared.purposes)
        self.retentions = MappingProxyType(declared.retentions)
        self.traits = MappingProxyType(declared.traits)
        self.rules: Mapping[str, Any] | None = next(reversed(tuple(declared.rules.values())), None)
        """The latest declared identity rules."""
        self.by_write_key = _by_write_key(declared.sources, env_source)
        self.by_token = {token.token_sha256: token for token in tokens.values()}
        if env_token is not None:
            self.by_token[env_token.token_sha256] = env_token


def _by_write_key(declared: Mapping[str, Source], env_source: Source | None) -> dict[str, Source]:
    """Enabled sources by key digest. Keys declared for the environment's source belong to that one."""
    index: dict[str, Source] = {}
    for source in declared.values():
        if source.enabled:
            owner = env_source if env_source is not None and env_source.id == source.id else source
            index.update(dict.fromkeys(source.write_key_sha256, owner))
    if env_source is not None:
        index.update(dict.fromkeys(env_source.write_key_sha256, env_source))
    return index
