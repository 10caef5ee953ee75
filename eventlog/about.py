"""The facts about a log: its format, and facts that must never change with it. They are short texts in a topic of their
own, `simorgh.about`, so that all adapters store them alike. The first record of a name counts: if two processes write
at once, both read the same afterwards.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from eventlog.port import Message, RecordLog
from schemas.errors import InvalidSettings
from schemas.topics import ABOUT, ALL

FORMAT: Final = 3
"""The format that this release writes: envelopes of version 2; in files, compressed chunks with checksums. From 2 on
every format stays readable; in 2, chunks were not compressed."""

OLDEST: Final = 2
"""The first format that this release reads."""

_NAME: Final = "format"
_LOST: Final = "lost/"
_READ: Final = 1000


def read_about(log: RecordLog) -> Mapping[str, str]:
    """Name -> text, for all facts that were ever claimed."""
    found: dict[str, str] = {}
    for name, text in _all(log):
        found.setdefault(name, text)
    return found


def claim(log: RecordLog, name: str, text: str) -> str:
    """Record it, unless the name has a text already. Returns the text that counts from now on. Blocks until durable."""
    found = read_about(log)
    if name not in found:
        log.append(ABOUT, [(name.encode(), text.encode())])
        found = read_about(log)
    return found[name]


def claim_format(log: RecordLog, where: str) -> None:
    """Mark a new log with our format, for adapters that store it in a record.

    A log with records and without a mark was made before marks existed. The ends are read first, since every writer
    sets the mark before it appends. Raises `InvalidSettings` for a format that this release does not read.
    """
    used = any(any(log.ends(topic)) for topic in ALL if topic != ABOUT)
    formats = [text for name, text in _all(log) if name == _NAME]
    if used and not formats:
        raise other_format(where, 1)
    if not formats:
        claim(log, _NAME, str(FORMAT))
    for text in formats:
        check_format(where, int(text) if text.isdecimal() else 0)


def check_format(where: str, found: int) -> None:
    """Raises `InvalidSettings` unless this release reads the format."""
    if not OLDEST <= found <= FORMAT:
        raise other_format(where, found)


def other_format(where: str, found: int) -> InvalidSettings:
    """The one line that says so, and what to do."""
    if found > FORMAT:
        what = "a newer release wrote it: run that release, or a newer one"
    else:
        what = (
            "an older release wrote it, and this one cannot read it: start with an empty log and send or import"
            " the events again, or keep running the older release"
        )
    return InvalidSettings(f"Event log {where}: wanted format {FORMAT}, got format {found}; {what}", code="log_format")


def lost_record(topic: str, partition: int, offsets: range, now: int) -> Message:
    """The record of a repair about records that it could not save."""
    return f"{_LOST}{topic}/{partition}/{offsets[0]}-{offsets[-1]}".encode(), str(now).encode()


def lost(about: Mapping[str, str]) -> Mapping[str, int]:
    """topic/partition/first-last of the records that a repair gave up -> when, in ms."""
    return {name.removeprefix(_LOST): int(text) for name, text in about.items() if name.startswith(_LOST)}


def _all(log: RecordLog) -> Iterator[tuple[str, str]]:
    offset = 0
    while records := log.read(ABOUT, 0, offset, _READ):
        yield from ((record.key.decode(), record.value.decode()) for record in records)
        offset = records[-1].offset + 1
