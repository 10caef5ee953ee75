"""`simorgh.touched`: profiles to look at, and why. The record is part of the public contract
(`schemas.records.TouchRecord`).

A touch is only a hint: it may come twice, late, or with a profile that was absorbed meanwhile. The holder looks up the
present profiles of the nodes and passes on those of others. So a touch need not have the right profile, but it must be
appended after its rows are in the warehouse.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from eventlog.port import Message, Record
from identity.nodes import from_hex, to_hex
from schemas.errors import Broken, InvalidInput
from schemas.records import TouchRecord, decode_touch, encode
from stream_processors.state.profile import inherit

_LOG = logging.getLogger(__name__)

EVENT: Final = "event"
TIME: Final = "time"
MERGE: Final = "merge"
SPLIT: Final = "split"
ERASED: Final = "erased"
BACKFILL: Final = "backfill"
EDITED: Final = "edited"
DELETED: Final = "deleted"
REPLAY: Final = "replay"

_WEIGHT: Final = {ERASED: 4, SPLIT: 3, MERGE: 2, EVENT: 1}
"""Of several causes the weightiest one is published."""


@dataclass(slots=True)
class Touch:
    """`profile`: the profile of the nodes, according to the sender. `nodes`: nodes with news, in addition to the
    profile itself.

    `inherited`: memberships (segment -> entered_at in ms) of profiles that this one absorbed. `former`: the previous
    profiles of its nodes, if a merge or a split moved them. `anew`: an event that may have been counted no longer
    counts, so the profile's state in memory is void.
    """

    profile: int
    cause: str
    nodes: set[int] = field(default_factory=set)
    inherited: dict[str, int] = field(default_factory=dict)
    former: set[int] = field(default_factory=set)
    anew: bool = False

    def add(self, other: "Touch") -> None:
        """Become one touch of both."""
        self.nodes |= other.nodes
        self.former |= other.former
        self.anew |= other.anew
        self.cause = heavier(self.cause, other.cause)
        inherit(self.inherited, other.inherited)


def heavier(cause: str, other: str) -> str:
    return other if _WEIGHT.get(other, 0) > _WEIGHT.get(cause, 0) else cause


class Touches:
    """Touches to send, one for each profile."""

    def __init__(self) -> None:
        self.by_profile: dict[int, Touch] = {}
        self.fresh: set[int] = set()
        """Nodes without earlier rows. A hint within one process: the topic does not carry it."""

    def add(
        self,
        profile: int,
        cause: str,
        nodes: Iterable[int] = (),
        inherited: Mapping[str, int] | None = None,
        *,
        former: Iterable[int] = (),
        anew: bool = False,
    ) -> None:
        touch = Touch(profile, cause, set(nodes), dict(inherited or {}), set(former), anew)
        known = self.by_profile.get(profile)
        if known is None:
            self.by_profile[profile] = touch
        else:
            known.add(touch)

    def add_node(self, profile: int, node: int) -> None:
        """An event has something new about one of a profile's nodes."""
        known = self.by_profile.get(profile)
        if known is None:
            self.by_profile[profile] = Touch(profile, EVENT, {node})
        else:
            known.nodes.add(node)
            known.cause = heavier(known.cause, EVENT)

    def merge(self, others: "Touches") -> None:
        """Add all of these."""
        known, self.fresh = self.by_profile, self.fresh | others.fresh
        for profile, touch in others.by_profile.items():
            if profile in known:
                known[profile].add(touch)
            else:
                known[profile] = touch

    def messages(self) -> list[Message]:
        return [message(touch) for touch in self.by_profile.values()]


def message(touch: Touch) -> Message:
    """Key: the profile, so that one holder gets all of a profile's touches, in order."""
    key = to_hex(touch.profile)
    record = TouchRecord(
        profile=key,
        cause=touch.cause,
        nodes=[to_hex(node) for node in sorted(touch.nodes - {touch.profile})],
        inherited=touch.inherited,
        former=[to_hex(profile) for profile in sorted(touch.former)],
        anew=touch.anew,
    )
    return key.encode(), encode(record)


def parse(value: bytes) -> Touch:
    """Raises `Broken` or `InvalidIdentifier` if it is not a touch."""
    record = decode_touch(value)
    return Touch(
        from_hex(record.profile),
        record.cause,
        {from_hex(node) for node in record.nodes},
        record.inherited,
        {from_hex(profile) for profile in record.former},
        record.anew,
    )


def parsed(record: Record) -> Touch | None:
    """A record of simorgh.touched; None, and a log line, if it is not a touch."""
    try:
        return parse(record.value)
    except (Broken, InvalidInput) as error:
        _LOG.warning("touch %d/%d is left out: %s", record.partition, record.offset, type(error).__name__)
        return None
