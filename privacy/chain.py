"""The audit as chains of hashes: how an entry is made, and how a topic full of them is checked.

Each writer has a chain of its own, since several processes append at the same time, and a log cannot append on the
condition that nothing else was appended meanwhile. An entry holds the hash of the one before it in its chain. The first
entry of a chain holds the hash of the last record that its writer found in the topic, so a whole chain cannot be
removed unnoticed either.

Hashes are keyed: whoever can write to the topic, but does not hold the workspace's secret, can neither forge an entry
nor change one. No chain can show that its own end is missing: compare the end with one that was noted before.
"""

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final, NamedTuple

from eventlog.port import Record, RecordLog
from schemas.errors import Broken, Damaged
from schemas.records import AuditEntry, decode_audit, encode
from schemas.topics import AUDIT

_HEX: Final = 32
_END: Final = b'"}'
_STEP: Final = 1_000
_MOST_FAULTS: Final = 20
"""That are described; the others are counted."""


def key_of(secret: bytes) -> bytes:
    """The key of the audit's hashes, from the workspace's secret."""
    return blake2b(secret, person=b"simorgh audit").digest()


def hashed(key: bytes, sought: str) -> str:
    """The hash that replaces a text that was looked for and not found. Equal texts have equal hashes. 32 hex digits."""
    return blake2b(sought.encode(), digest_size=16, key=key, person=b"audit sought").hexdigest()


def sealed(key: bytes, entry: AuditEntry) -> tuple[bytes, str]:
    """The record of an entry whose `hash` is empty, and its hash."""
    body = encode(entry)
    digest = _digest(key, body)
    return body[: -len(_END)] + digest.encode() + _END, digest


def hash_of(key: bytes, value: bytes) -> str | None:
    """The hash in a record; None if it is not that of its bytes."""
    said = value[-_HEX - len(_END) : -len(_END)].decode("ascii", "replace")
    right = _digest(key, value[: -_HEX - len(_END)] + _END)
    return said if said == right and value.endswith(_END) else None


def _digest(key: bytes, body: bytes) -> str:
    return blake2b(body, digest_size=16, key=key).hexdigest()


# ---- making


@dataclass(slots=True)
class Chain:
    """A chain that is being written. `after`: the last record that was in the topic, None for an empty topic."""

    key: bytes
    name: str
    before: str
    after: int | None
    n: int = 0

    @staticmethod
    def begin(log: RecordLog, key: bytes, name: str) -> "Chain":
        """A new chain after what the topic holds now. May block. `name`: 32 random hex digits."""
        end = log.ends(AUDIT)[0]
        last = log.read(AUDIT, 0, end - 1, 1) if end else []
        return Chain(key, name, mark_of(key, last[0].value) if last else "", end - 1 if last else None)

    def next(self, entry: AuditEntry) -> bytes:
        """The record of an entry, as the next one of this chain."""
        entry.chain, entry.n, entry.before, entry.hash = self.name, self.n, self.before, ""
        entry.after = None if self.n else self.after
        value, self.before = sealed(self.key, entry)
        self.n += 1
        return value


def mark_of(key: bytes, value: bytes) -> str:
    """How a chain names the record it begins after: by that record's hash, or by that of its bytes if it has none."""
    return hash_of(key, value) or _digest(key, value)


# ---- checking


class Flaw(NamedTuple):
    """A place where the audit is not as it was written."""

    offset: int
    reason: str


class Head(NamedTuple):
    """The last entry of a chain."""

    n: int
    hash: str
    offset: int


@dataclass(frozen=True, slots=True)
class Checked:
    """The result up to `offset`. `faults`: the first ones, in order; `broken`: their number."""

    offset: int = 0
    entries: int = 0
    heads: dict[str, Head] = field(default_factory=dict)
    faults: tuple[Flaw, ...] = ()
    broken: int = 0
    head: str = ""
    """Hash of the last record before `offset`."""
    chains: int = 0
    """How many began; `heads` may have lost the oldest."""


def check(log: RecordLog, key: bytes, done: Checked, most: int) -> Checked:
    """Continue where `done` ended, for up to `most` records."""
    heads, faults, head = dict(done.heads), list(done.faults), done.head
    entries, offset, end = done.entries, done.offset, min(done.offset + most, log.ends(AUDIT)[0])
    found: list[Flaw] = []
    chains = done.chains - len(heads)
    while offset < end:
        try:
            records = log.read(AUDIT, 0, offset, min(_STEP, end - offset))
        except Damaged as lost:
            found.append(Flaw(offset, "the bytes on the disk are not as written"))
            offset = max(lost.last, offset) + 1
            continue
        if not records:
            found.append(Flaw(offset, "the log has an end, and no record before it"))
            break
        for record in records:
            if reason := _wrong(log, key, record, heads):
                found.append(Flaw(record.offset, reason))
            head = mark_of(key, record.value)
        entries += len(records)
        offset = records[-1].offset + 1
    return Checked(
        offset, entries, heads, (*faults, *found)[:_MOST_FAULTS], done.broken + len(found), head, chains + len(heads)
    )


def _wrong(log: RecordLog, key: bytes, record: Record, heads: dict[str, Head]) -> str:
    """What is wrong with a record; empty if it is in order. Adds the record to `heads`, the chains so far."""
    try:
        entry = decode_audit(record.value)
    except Broken:
        return "it is no audit entry"
    if hash_of(key, record.value) is None:
        return "it is not as it was written, or was written by somebody else"
    known = heads.get(entry.chain)
    expected = known.n + 1 if known else 0
    if known is None or entry.n > known.n:
        heads[entry.chain] = Head(entry.n, entry.hash, record.offset)
    if entry.n > expected:
        return f"{entry.n - expected:,} entries of its chain are missing before it"
    if entry.n < expected:
        return "it stands there again, or later than it was written"
    if known:
        return "" if entry.before == known.hash else "the entry before it in its chain is another one"
    return "" if _begins_rightly(log, key, entry, record.offset) else "what stood before its chain began is missing"


def _begins_rightly(log: RecordLog, key: bytes, entry: AuditEntry, offset: int) -> bool:
    """Whether the topic still holds what the writer found there."""
    if entry.after is None:
        return not entry.before
    if entry.after >= offset:
        return False
    try:
        last = log.read(AUDIT, 0, entry.after, 1)
    except Damaged:
        return True  # told where it stands
    return bool(last) and mark_of(key, last[0].value) == entry.before
