"""The declarations in simorgh.registry, read so that none can stop the pipeline.

The API checks what it appends. Yet a segment in it may be unable to take effect: an earlier version or another program
wrote it, a simultaneous request contradicts it, or the engine refuses it when it is filled. Such a declaration is *set
aside*: the former version stays in effect, everything else continues, and a later declaration or deletion of the
segment clears it. A record (kind `set_aside`) has the reason, so that all processes fold the topic to the same
segments.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from eventlog.port import Message, Record, RecordLog
from identity.nodes import from_hex
from identity.rules import IdentityRules
from registry.models import CONSTANT, SET_ASIDE, RegistryRecord, by_projections
from schemas import topics
from schemas.clock import LATEST, Clock
from schemas.errors import InvalidInput, InvalidRule, SimorghError
from schemas.records import Erase, Merge, Rules, Split, encode_identity
from segments.computed import bound, bound_computation, parse_computation, trait_of, unit, units_of
from segments.live import LiveRules, topological
from segments.live_traits import LiveTraits, in_order
from segments.rule import parse_rule
from segments.tree import Computation, EventValue, Rule, SegmentRef, nodes

BACKFILL: Final = "backfill"
EDITED: Final = "edited"

_ANYBODY: Final = parse_rule({"metric": "events", "gte": 0})
_LOG = logging.getLogger(__name__)


def read(record: Record) -> RegistryRecord | None:
    """The declaration; None, with a warning, for an unreadable record or an invalid command. `Segments` reads the rules
    of segments, and sets aside unreadable ones.
    """
    try:
        declared = RegistryRecord.model_validate_json(record.value)
        _check(declared)
    except (ValueError, InvalidInput, LookupError, TypeError) as error:
        _LOG.warning("registry record %d is left out: %s", record.offset, type(error).__name__)
        return None
    return declared


def _check(declared: RegistryRecord) -> None:
    body = declared.body
    if not 0 <= declared.at < LATEST:
        raise ValueError("the moment of a declaration lies between 1970 and 2286")
    match declared.kind:
        case "merge":
            from_hex(body["a"])
            from_hex(body["b"])
        case "erase":
            from_hex(body["profile"])
        case "split":
            for node in body["nodes"]:
                from_hex(node)
        case "rules":
            IdentityRules.parse(body | {"version": 1})
        case "set_aside":
            int(body["offset"])
        case "constant":
            _Constant(int(body["version"]), int(body["day"]), int(body["usual_gap"]))


def identity_record(declared: RegistryRecord, offset: int) -> Merge | Split | Erase | Rules | None:
    """What a declaration at `offset` says to identity: a steward's merge or split, a request for erasure, or other
    rules. None: nothing."""
    body, by, at = declared.body, declared.by, declared.at
    match declared.kind:
        case "merge":
            return Merge(command=offset, a=body["a"], b=body["b"], reason=str(body.get("reason", "")), by=by, at=at)
        case "split":
            nodes = list(body["nodes"])
            return Split(command=offset, nodes=nodes, reason=str(body.get("reason", "")), by=by, at=at)
        case "erase":
            return Erase(command=offset, profile=body["profile"], by=by, at=at)
        case "rules":
            return Rules(version=offset + 1, rules=body, at=at)
    return None


def order(declared: RegistryRecord, offset: int) -> Message | None:
    """The same as a record to append to simorgh.identity."""
    said = identity_record(declared, offset)
    return (declared.kind.encode(), encode_identity(said)) if said else None


@dataclass(frozen=True, slots=True)
class Change:
    """The result of a record. `filled`: the segment or trait and those that stand on it, inner ones first; `gone`: no
    longer live. Traits by their `unit`."""

    offset: int
    segment: str
    cause: str | None
    """BACKFILL, EDITED, or None if it is no longer live."""
    filled: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    anew: bool = False
    """Whether every profile with a value is concerned, and not only those that get another."""


@dataclass(frozen=True, slots=True)
class Aside:
    """A declaration that is not in effect, by its offset, with the reason."""

    offset: int
    version: int
    reason: str


@dataclass(frozen=True, slots=True)
class _Live:
    offset: int
    version: int
    what: Rule | Computation
    names: frozenset[str]
    """The segments that it names, and the traits that it reads, by their `unit`."""


class _Constant(NamedTuple):
    """Of a version of a computed trait; `usual_gap`: in millionths of a day."""

    version: int
    day: int
    usual_gap: int


class Segments:
    """The live segments and computed traits: a fold of their declarations, in log order. Inside, a trait goes by its
    `unit`."""

    def __init__(self) -> None:
        self._live: dict[str, _Live] = {}
        self._former: dict[str, _Live] = {}
        """The former declaration, which returns if the live one is set aside."""
        self._constants: dict[str, _Constant] = {}
        self.aside: dict[str, Aside] = {}
        self._recorded: set[tuple[str, int]] = set()

    @property
    def live(self) -> dict[str, tuple[Rule, int]]:
        """Id -> rule, version."""
        return {
            name: (live.what, live.version)
            for name, live in self._live.items()
            if not isinstance(live.what, Computation)
        }

    @property
    def traits(self) -> dict[str, tuple[Computation, int]]:
        """Name -> computation, version."""
        return {
            str(trait_of(name)): (live.what, live.version)
            for name, live in self._live.items()
            if isinstance(live.what, Computation)
        }

    def is_live(self, name: str) -> bool:
        return name in self._live

    def version(self, name: str) -> int:
        return self._live[name].version

    def fold(self, declared: RegistryRecord, offset: int) -> Change | None:
        """Take in a record of kind `segment`, `trait` or `set_aside`; returns the change of what is live, None if
        there is none."""
        if declared.kind == SET_ASIDE:
            return self._fold_aside(declared, offset)
        if declared.kind == CONSTANT:
            return self._fold_constant(declared, offset)
        name = unit(declared.id) if declared.kind == "trait" else declared.id
        if declared.op == "delete":
            self.aside.pop(name, None)
            return self._end(name, offset)
        version = declared.body.get("version", 1)
        version = version if type(version) is int else 1
        try:
            what = _compiled(declared)
            live = _Live(offset, version, what, units_of(what))
            self._hold_together(name, live)
        except Exception as error:  # whatever it is, it is this declaration's
            self.aside[name] = Aside(offset, version, reason_of(error))
            return None
        before = self._live.get(name)
        self._begin(name, live, before)
        return Change(offset, name, EDITED if before else BACKFILL, self.with_users(name))

    def _fold_constant(self, declared: RegistryRecord, offset: int) -> Change | None:
        name, body = declared.id, declared.body
        found = _Constant(int(body["version"]), int(body["day"]), int(body["usual_gap"]))
        self._constants[name] = found
        live = self._live.get(name)
        if live is None or found.version != live.version or not isinstance(live.what, EventValue):
            return None
        if live.what.usual == found.usual_gap:
            return None
        self._live[name] = replace(live, what=replace(live.what, usual=found.usual_gap))
        return Change(offset, name, EDITED, self.with_users(name), anew=True)

    def without_constant(self, day: int) -> list[str]:
        """The computed traits that need a constant of this day and have none, by their `unit`."""
        return [
            name
            for name, live in self._live.items()
            if isinstance(live.what, EventValue)
            and live.what.take == "lifecycle"
            and self._constant_day(name, live) < day
        ]

    def _constant_day(self, name: str, live: _Live) -> int:
        known = self._constants.get(name)
        return known.day if known is not None and known.version == live.version else -1

    def set_aside(self, segment: str, offset: int, reason: str) -> Change | None:
        """Withdraw the declaration of this offset. The former one returns."""
        live = self._live.get(segment)
        if live is None or live.offset != offset:
            return None
        former = self._former.pop(segment, None)
        self.aside[segment] = Aside(offset, live.version, reason)
        if former is not None:
            try:
                self._hold_together(segment, former)
            except InvalidInput:
                former = None
        if former is None:
            return self._end(segment, offset)
        self._live[segment] = former
        return Change(offset, segment, EDITED, self.with_users(segment))

    def rule(self, segment: str) -> Rule:
        """With the computations of the traits that it reads (`segments.computed.bound`)."""
        what = self._live[segment].what
        assert not isinstance(what, Computation)
        return bound(what, self.computed)

    def computation(self, trait: str) -> Computation:
        """The same of a computed trait."""
        found = self.computed(trait)
        assert found is not None
        return bound_computation(trait, found, self.computed)

    def computed(self, trait: str) -> Computation | None:
        """None: it is not a computed trait."""
        live = self._live.get(unit(trait))
        return live.what if live is not None and isinstance(live.what, Computation) else None

    def with_users(self, segment: str) -> tuple[str, ...]:
        """The segment or trait and those that stand on it, directly or through others; inner ones first."""
        found = [segment]
        if any(segment in live.names for live in self._live.values()):  # usually none does
            for other in in_order(*_parted(self._live)):
                if other != segment and not self._live[other].names.isdisjoint(found):
                    found.append(other)
        return tuple(found)

    def record_asides(self, log: RecordLog, clock: Clock) -> None:
        """Append records of set-aside declarations that have none yet. For the process that applies declarations."""
        for segment, aside in self.aside.items():
            if (segment, aside.offset) not in self._recorded:
                self._say(log, clock, segment, aside)

    def say_aside(self, log: RecordLog, clock: Clock, segment: str, offset: int, reason: str) -> None:
        """Append a record that sets the live declaration of this offset aside: every process that folds the topic
        obeys."""
        live = self._live.get(segment)
        if live and live.offset == offset and (segment, offset) not in self._recorded:
            self._say(log, clock, segment, Aside(offset, live.version, reason))

    def _say(self, log: RecordLog, clock: Clock, segment: str, aside: Aside) -> None:
        body = {"offset": aside.offset, "version": aside.version, "reason": aside.reason}
        log.append(topics.REGISTRY, [by_projections(SET_ASIDE, segment, body, clock())])
        self._recorded.add((segment, aside.offset))
        _LOG.warning("segment %s, version %d, is set aside: %s", segment, aside.version, aside.reason)

    def _fold_aside(self, declared: RegistryRecord, offset: int) -> Change | None:
        of, reason = int(declared.body["offset"]), str(declared.body.get("reason", ""))
        self._recorded.add((declared.id, of))
        if change := self.set_aside(declared.id, of, reason):
            return change
        known = self.aside.get(declared.id)
        if known and known.offset == of and declared.id not in self._live:
            return Change(offset, declared.id, None, gone=(declared.id,))  # an earlier version may have left members
        return None

    def _begin(self, segment: str, live: _Live, before: _Live | None) -> None:
        if before:
            self._former[segment] = before
        known = self._constants.get(segment)
        if known is not None and known.version == live.version and isinstance(live.what, EventValue):
            live = replace(live, what=replace(live.what, usual=known.usual_gap))
        self._live[segment] = live
        self.aside.pop(segment, None)

    def _end(self, segment: str, offset: int) -> Change | None:
        """The segment is no longer live, and those that name it are set aside."""
        self._former.pop(segment, None)
        if segment not in self._live:
            return None
        users = self.with_users(segment)
        if trait_of(segment) is not None:  # a sent trait takes its place
            del self._live[segment]
            return Change(offset, segment, EDITED, users[1:], gone=(segment,))
        gone = tuple(name for name in users if trait_of(name) is None)
        for name in gone:
            live = self._live.pop(name)
            self._former.pop(name, None)
            if name != segment:
                self.aside[name] = Aside(live.offset, live.version, "it names a segment that is not live any more")
        left = tuple(name for name in users if trait_of(name) is not None)
        return Change(offset, segment, EDITED if left else None, left, gone=gone)

    def _hold_together(self, segment: str, live: _Live) -> None:
        stands_on = {name for name in live.names if trait_of(name) is None or name in self._live}
        if stands_on or trait_of(segment) is not None:  # usually neither
            rules, traits = _parted({**self._live, segment: live})
            topological(rules)
            if any(trait_of(name) is None and name not in rules for name in live.names):
                raise InvalidRule("trait: wanted segments that exist, got an unknown one; declare it first")
            in_order(rules, traits)


def reason_of(error: Exception) -> str:
    """For people. Our own messages contain no customer's value."""
    return error.message if isinstance(error, SimorghError) else f"it cannot be compiled ({type(error).__name__})"


def _parted(live: Mapping[str, _Live]) -> tuple[dict[str, Rule], dict[str, Computation]]:
    """Rules by segment, and computations by trait."""
    rules: dict[str, Rule] = {}
    traits: dict[str, Computation] = {}
    for name, one in live.items():
        if isinstance(one.what, Computation):
            traits[str(trait_of(name))] = one.what
        else:
            rules[name] = one.what
    return rules, traits


def _compiled(declared: RegistryRecord) -> Rule | Computation:
    """The rule or computation, having been compiled once alone, with segments that it names standing for anybody."""
    if declared.kind == "trait":
        computation = parse_computation(declared.body.get("compute"))
        named = {name for name in units_of(computation) if trait_of(name) is None}
        LiveTraits(dict.fromkeys(named, _ANYBODY), {declared.id: computation})
        return computation
    rule = parse_rule(declared.body.get("rule"))
    named = {node.segment for node in nodes(rule) if isinstance(node, SegmentRef)}
    LiveRules({**dict.fromkeys(named, _ANYBODY), "": rule})
    return rule
