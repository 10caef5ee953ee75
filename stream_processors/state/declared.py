"""The declarations in simorgh.registry, read so that none can stop the pipeline.

The API checks what it appends. Yet a segment in it may be unable to take effect: an earlier version or another program
wrote it, a simultaneous request contradicts it, or the engine refuses it when it is filled. Such a declaration is *set
aside*: the former version stays in effect, everything else continues, and a later declaration or deletion of the
segment clears it. A record (kind `set_aside`) has the reason, so that all processes fold the topic to the same
segments.
"""

import logging
from dataclasses import dataclass
from typing import Final

from eventlog.port import Message, Record, RecordLog
from identity.nodes import from_hex
from identity.rules import IdentityRules
from registry.models import SET_ASIDE, RegistryRecord, by_projections
from schemas import topics
from schemas.clock import Clock
from schemas.errors import InvalidInput, SimorghError
from schemas.records import Erase, Merge, Rules, Split, encode_identity
from segments.live import LiveRules, topological
from segments.rule import parse_rule
from segments.tree import Rule, SegmentRef, nodes, segments_of

BACKFILL: Final = "backfill"
EDITED: Final = "edited"

_ANYBODY: Final = parse_rule({"metric": "events", "gte": 0})
_LOG = logging.getLogger(__name__)
_LATEST = 10_000_000_000_000


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
    if not 0 <= declared.at < _LATEST:
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
    """The result of a record. `filled`: the segment and those that name it, inner ones first; `gone`: no longer
    live."""

    offset: int
    segment: str
    cause: str | None
    """BACKFILL, EDITED, or None if it is no longer live."""
    filled: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()


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
    rule: Rule
    names: frozenset[str]
    """The segments that the rule names."""


class Segments:
    """The live segments: a fold of their declarations, in log order."""

    def __init__(self) -> None:
        self._live: dict[str, _Live] = {}
        self._former: dict[str, _Live] = {}
        """The former declaration, which returns if the live one is set aside."""
        self.aside: dict[str, Aside] = {}
        self._recorded: set[tuple[str, int]] = set()

    @property
    def live(self) -> dict[str, tuple[Rule, int]]:
        """Id -> rule, version."""
        return {segment: (live.rule, live.version) for segment, live in self._live.items()}

    def fold(self, declared: RegistryRecord, offset: int) -> Change | None:
        """Take in a record of kind `segment` or `set_aside`; returns the change of the live segments, None if there is
        none."""
        if declared.kind == SET_ASIDE:
            return self._fold_aside(declared, offset)
        if declared.op == "delete":
            self.aside.pop(declared.id, None)
            return self._end(declared.id, offset)
        version = declared.body.get("version", 1)
        version = version if type(version) is int else 1
        try:
            rule = _compiled(declared.body.get("rule"))
            live = _Live(offset, version, rule, segments_of(rule))
            self._hold_together(declared.id, live)
        except Exception as error:  # whatever it is, it is this declaration's
            self.aside[declared.id] = Aside(offset, version, reason_of(error))
            return None
        before = self._live.get(declared.id)
        self._begin(declared.id, live, before)
        return Change(offset, declared.id, EDITED if before else BACKFILL, self.with_users(declared.id))

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
        return self._live[segment].rule

    def with_users(self, segment: str) -> tuple[str, ...]:
        """The segment and those that name it, directly or through others; inner ones first."""
        found = [segment]
        if any(segment in live.names for live in self._live.values()):  # usually none does
            for other in topological(self._rules()):
                if not self._live[other].names.isdisjoint(found):
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
        self._live[segment] = live
        self.aside.pop(segment, None)

    def _end(self, segment: str, offset: int) -> Change | None:
        """The segment is no longer live, and those that name it are set aside."""
        self._former.pop(segment, None)
        if segment not in self._live:
            return None
        gone = self.with_users(segment)
        for name in gone:
            live = self._live.pop(name)
            self._former.pop(name, None)
            if name != segment:
                self.aside[name] = Aside(live.offset, live.version, "it names a segment that is not live any more")
        return Change(offset, segment, None, gone=gone)

    def _rules(self) -> dict[str, Rule]:
        return {segment: live.rule for segment, live in self._live.items()}

    def _hold_together(self, segment: str, live: _Live) -> None:
        if live.names:  # usually it names none
            topological({**self._rules(), segment: live.rule})


def reason_of(error: Exception) -> str:
    """For people. Our own messages contain no customer's value."""
    return error.message if isinstance(error, SimorghError) else f"it cannot be compiled ({type(error).__name__})"


def _compiled(written: object) -> Rule:
    """The rule, having been compiled once alone, with segments that it names standing for anybody."""
    rule = parse_rule(written)
    named = {node.segment: _ANYBODY for node in nodes(rule) if isinstance(node, SegmentRef)}
    LiveRules({**named, "": rule})
    return rule
