"""Copies whose content differs from the first event with their id are kept among the rejected events.

A copy changes nothing: usually it is the same event, sent again. If its content differs, a sender has used an id twice,
and an event would be lost silently. So each copy is compared with the first one, which is read from its place in the
log, many at a time. A conflicting copy is kept once per content, at most `MOST_CONTENTS` for an event; it stays a
duplicate in the counts.

Kept copies are read from the table `rejected`, and from the end of its topic that is not in the table yet. Nothing is
in memory, and a second attempt keeps nothing twice.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b
from itertools import groupby
from typing import Any, Final, NamedTuple

from eventlog.port import EventLog, Message, Position, Record, RecordLog
from schemas import topics
from schemas.content import content_digest
from schemas.errors import Broken
from schemas.records import Rejection, decode_rejection, encode
from stream_processors.flow import rejected as rejections
from stream_processors.parse.batch import Batch, ParsedEnvelope, read_again
from stream_processors.state.copies import First
from warehouse.client import Writer

CODE: Final = "conflicting_copy"
MOST_CONTENTS: Final = 20
"""The largest number of contents kept for one event."""

_GAP: Final = 200
"""The largest gap between two wanted records that are read together."""
_MOST_READ: Final = 5_000
_DIGITS: Final = 10
_READ: Final = 20_000

_PARTS: Final = ("type", "time", "identifiers", "traits", "properties")
_STORED = """SELECT source, id, digest FROM rejected
    WHERE source IN {sources:Array(String)} AND id IN {ids:Array(String)} AND code = {code:String}"""

Name = tuple[str, str]
"""Source and id of an event."""


class _Conflict(NamedTuple):
    copy: int
    digest: int
    parts: tuple[str, ...]
    """The parts of the content that differ."""


def messages(log: EventLog, writer: Writer, batch: Batch, firsts: Mapping[int, First]) -> list[Message]:
    """The conflicting ones among a batch's copies, for simorgh.rejected.

    `firsts`: index of each copy -> the first one of that event.
    """
    conflicts = sorted(_conflicts(log, batch, firsts)) if firsts else []
    if not conflicts:
        return []
    told = _told(log, writer, {_name(batch, one.copy) for one in conflicts})
    found: list[Message] = []
    for conflict in conflicts:
        digests = told.setdefault(_name(batch, conflict.copy), set())
        if conflict.digest not in digests and len(digests) < MOST_CONTENTS:
            digests.add(conflict.digest)
            found.append(_message(batch, conflict))
    return found


def _name(batch: Batch, i: int) -> Name:
    return batch.sources[i], batch.events[i].id


def _message(batch: Batch, conflict: _Conflict) -> Message:
    event = batch.events[conflict.copy]
    rejection = Rejection(
        id=event.id,
        code=CODE,
        reason="event: wanted the content of the first one that this source sent under this id, got another"
        f" ({', '.join(conflict.parts)}); send it under an id of its own, or dismiss it",
        source=batch.sources[conflict.copy],
        channel=event.channel,
        received_at=event.received_at,
        place=event.place,
        payload=batch.records[conflict.copy].value.decode(),
        digest=conflict.digest,
    )
    return event.id.encode(), encode(rejection)


# ---- what was kept before


def _told(log: EventLog, writer: Writer, names: set[Name]) -> dict[Name, set[int]]:
    """Event -> digests of the contents that are kept. The table holds all that its stage has committed."""
    told: dict[Name, set[int]] = {}
    for name, digest in _waiting(log):
        if name in names:
            told.setdefault(name, set()).add(digest)
    sources, ids = {source for source, _ in names}, {id for _, id in names}
    bound = {"sources": list(sources), "ids": list(ids), "code": CODE}
    for source, id, digest in writer.look_up(_STORED, bound):
        told.setdefault((source, id), set()).add(digest)
    return told


def _waiting(log: EventLog) -> Iterator[tuple[Name, int]]:
    """The conflicting copies in the topic that may not be in the table yet."""
    for partition, offset in enumerate(log.committed(rejections.GROUP, topics.REJECTED)):
        position = offset
        while records := log.read(topics.REJECTED, partition, position, _READ):
            for record in records:
                if CODE.encode() in record.value:
                    with suppress(Broken):  # anybody may write to the topic
                        rejection = decode_rejection(record.value)
                        yield (rejection.source, rejection.id), rejection.digest
            position = records[-1].offset + 1


# ---- comparing


def told_before(log: RecordLog, firsts: Mapping[int, Position]) -> Iterator[tuple[int, str | None]]:
    """Index of each event whose record is still in the log -> `digest_of` it."""
    for i, record in _read(log, firsts):
        yield i, digest_of(record)


def digest_of(record: Record) -> str | None:
    """The digest of an event's content (`schemas.content`); None if this version cannot read it."""
    event = read_again(record)
    return None if event is None else content_digest(_claimed(event), _sent_properties(event))


def _sent_properties(event: ParsedEnvelope) -> dict[str, Any]:
    content: dict[str, Any] = {"properties": json.loads(bytes(event.properties))}
    for pointer, value in (event.original or {}).items():
        if pointer.startswith("/properties"):
            _put(content, pointer, json.loads(bytes(value)))
    found: dict[str, Any] = content["properties"]
    return found


def _conflicts(log: EventLog, batch: Batch, firsts: Mapping[int, First]) -> Iterator[_Conflict]:
    for i, record in _read(log, firsts):
        event, first = batch.events[i], read_again(record)
        if first is None or _written_alike(event, first):
            continue
        content, known = _content(event), _content(first)
        parts = tuple(part for part in _PARTS if content[part] != known[part])
        if "time" in parts and _same_moment(event, first):
            parts = tuple(part for part in parts if part != "time")
        if parts:
            text = json.dumps(content, sort_keys=True).encode()
            yield _Conflict(i, int.from_bytes(blake2b(text, digest_size=8).digest(), "big"), parts)


def _written_alike(a: ParsedEnvelope, b: ParsedEnvelope) -> bool:
    """Whether both have the same bytes of content, as an event that is sent again has."""
    return (
        bytes(a.properties) == bytes(b.properties)
        and a.traits == b.traits
        and bytes(a.identifiers) == bytes(b.identifiers)
        and a.type == b.type
        and a.original == b.original
        and _same_moment(a, b)
    )


def _same_moment(a: ParsedEnvelope, b: ParsedEnvelope) -> bool:
    """Whether both claim the same time, or none. An event without a claimed time has the receipt."""
    claims = _claimed(a), _claimed(b)
    return claims[0] == claims[1] or claims in ((None, a.time), (b.time, None))


def _claimed(event: ParsedEnvelope) -> str | None:
    return event.original_time or (None if event.time == event.received_at else event.time)


def _content(event: ParsedEnvelope) -> dict[str, Any]:
    """The content as sent, since the door's conversions may change from one version to the next."""
    content: dict[str, Any] = {
        "type": event.type,
        "time": _claimed(event),
        "identifiers": sorted([one["type"], one.get("value", "")] for one in json.loads(bytes(event.identifiers))),
        "traits": {name: json.loads(bytes(value)) for name, value in (event.traits or {}).items()},
        "properties": json.loads(bytes(event.properties)),
    }
    for pointer, value in (event.original or {}).items():
        _put(content, pointer, json.loads(bytes(value)))
    return content


def _put(content: dict[str, Any], pointer: str, value: Any) -> None:
    """Put a value back in its place; if the place no longer exists, it counts as a property."""
    *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]] or [pointer]
    at: Any = content
    for part in parents:
        at = _below(at, part)
    if isinstance(at, dict) and (at is not content or last in content):
        at[last] = value
    elif isinstance(at, list) and _below(at, last) is not None:
        at[int(last)] = value
    else:
        content["properties"] = {"": content["properties"], pointer: value}


def _below(at: Any, part: str) -> Any:
    if isinstance(at, dict):
        return at.get(part)
    if isinstance(at, list) and len(part) < _DIGITS and part.isdecimal() and int(part) < len(at):
        return at[int(part)]
    return None


# ---- reading the first ones


def _read(log: RecordLog, firsts: Mapping[int, First] | Mapping[int, Position]) -> Iterator[tuple[int, Record]]:
    """Each copy's index with its first one, in no order."""
    wanted: dict[Position, list[int]] = {}
    for i, first in firsts.items():
        if isinstance(first, Record):
            yield i, first
        else:
            wanted.setdefault(first, []).append(i)
    for run in _runs(sorted(wanted)):
        (partition, start), (_, end) = run[0], run[-1]
        for record in log.read(topics.EVENTS, partition, start, end + 1 - start):
            for i in wanted.get((partition, record.offset), ()):
                yield i, record


def _runs(places: Sequence[Position]) -> Iterator[list[Position]]:
    """Positions in order, as runs that are worth one read."""
    for _, group in groupby(places, key=lambda place: place[0]):
        run: list[Position] = []
        for place in group:
            if run and (place[1] - run[-1][1] > _GAP or place[1] - run[0][1] >= _MOST_READ):
                yield run
                run = []
            run.append(place)
        yield run
