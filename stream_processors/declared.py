"""What simorgh.registry declares, read so that nothing in it can stop the pipeline.

The API checks what it appends, but two declarations of one moment may contradict each other: two segments that name
each other, one that names another which is being deleted. The first in the log holds, the later one is left out, with
a warning, in the same way by every process that folds the topic.
"""

import logging
from collections.abc import Mapping
from typing import Any, Final

from eventlog.port import Record
from identity.nodes import from_hex
from identity.rules import IdentityRules
from registry.models import RegistryRecord
from schemas.errors import InvalidInput
from stream_processors.segments.live import topological
from stream_processors.segments.rule import parse_rule
from stream_processors.segments.tree import Rule, segments_of

SWEEP: Final = "sweep"
"""The consumer group whose position in simorgh.registry says up to where all profiles have been looked at again."""

_LOG = logging.getLogger(__name__)
_LATEST = 10_000_000_000_000


def read(record: Record) -> RegistryRecord | None:
    """The declaration; None, with a warning, where it is none or cannot be followed."""
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
        case "split":
            for node in body["nodes"]:
                from_hex(node)
        case "rules":
            IdentityRules.parse(body | {"version": 1})
        case "segment" if declared.op == "put":
            parse_rule(body["rule"])
            int(body.get("version", 1))


def identity_record(declared: RegistryRecord, offset: int) -> dict[str, Any] | None:
    """The record of simorgh.identity, but for its decisions, that a declaration at `offset` comes to: a steward's merge
    or split, or other rules. None: it is not for identity.
    """
    match declared.kind:
        case "merge" | "split":
            return {"kind": declared.kind, "command": offset, **declared.body, "by": declared.by, "at": declared.at}
        case "rules":
            return {"kind": "rules", "version": offset + 1, "rules": declared.body, "at": declared.at}
    return None


class Segments:
    """The live segments: a fold of their declarations, in log order."""

    def __init__(self) -> None:
        self.written: dict[str, tuple[dict[str, Any], int]] = {}
        """Id -> rule as written, version."""
        self._rules: dict[str, Rule] = {}

    def fold(self, declared: RegistryRecord) -> bool:
        """Take it in. False, with a warning, where it contradicts what is there."""
        rules = dict(self._rules)
        if declared.op == "delete":
            rules.pop(declared.id, None)
        else:
            rules[declared.id] = parse_rule(declared.body["rule"])
        if not self._holds_together(rules, declared):
            _LOG.warning("segment %s: its declaration contradicts an earlier one and is left out", declared.id)
            return False
        self._rules = rules
        if declared.op == "delete":
            self.written.pop(declared.id, None)
        else:
            self.written[declared.id] = (declared.body["rule"], int(declared.body.get("version", 1)))
        return True

    def rule(self, segment: str) -> Rule:
        return self._rules[segment]

    def with_users(self, segment: str) -> tuple[str, ...]:
        """The segment and those that name it, directly or through others; inner ones first."""
        found = [segment]
        for other in topological(self._rules):
            if not segments_of(self._rules[other]).isdisjoint(found):
                found.append(other)
        return tuple(found)

    @staticmethod
    def _holds_together(rules: Mapping[str, Rule], declared: RegistryRecord) -> bool:
        if declared.op == "put" and not segments_of(rules[declared.id]):
            return True  # the usual case: it names none
        try:
            topological(rules)
        except InvalidInput:
            return False
        return True
