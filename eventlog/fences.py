"""Which holders may publish: the fold of `simorgh.segments` that omits the transitions of superseded holders.

On a cluster many workers append to simorgh.segments. Each begins with a claim on its partitions of simorgh.touched. A
transition names its holder as `owner`, and counts unless a claim of a later owner of that partition precedes it in the
log. Every reader of the topic folds it in the same way, so all ignore a worker that was frozen and resumes. Transitions
without an owner come from the only process of one machine and always count.

A reader that starts in the middle of the topic goes back to the claim before it. On one machine there is none, so the
log records up to which offset a search is useless (`UNCLAIMED`).
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from eventlog.port import EventLog
from schemas import topics
from schemas.errors import Broken, SimorghError
from schemas.records import Claim, Owner, Transition, decode_claim, decode_told

UNCLAIMED: Final = "segments.unclaimed"
"""The consumer group (without members) before whose position in simorgh.segments there is no claim.

The log before an offset never changes, so any process may commit at any time. If a smaller position replaces a larger
one, or the position is lost, more is read and nothing is wrong."""

_OWNED: Final = b'"owner"'
_CHUNK: Final = 5_000

Term = tuple[int, int]
"""An owner's consumer generation, and its attempt in that generation. Both grow."""


class Fences:
    """The latest owner of each partition of simorgh.touched, at one place of simorgh.segments."""

    def __init__(self, terms: Mapping[int, Term] | None = None) -> None:
        self.terms: dict[int, Term] = dict(terms or {})

    @classmethod
    def at(cls, log: EventLog, offset: int) -> "Fences":
        """The fences before this offset. Reads back to the claim before it, which lists the fences of that moment, or
        to where there is none."""
        end, unclaimed = offset, _unclaimed(log)
        while end > unclaimed:
            start = max(unclaimed, end - _CHUNK)
            records = log.read(topics.SEGMENTS, 0, start, end - start)
            if latest := next((claim for record in reversed(records) if (claim := decode_claim(record.value))), None):
                return cls._since(latest, log, offset)
            end = start
        none = cls()
        none.remember(log, offset)
        return none

    @classmethod
    def _since(cls, latest: Claim, log: EventLog, offset: int) -> "Fences":
        fences = cls({owner.partition: _term(owner) for owner in latest.fences})
        position = latest.upto
        while position < offset:
            records = log.read(topics.SEGMENTS, 0, position, min(_CHUNK, offset - position))
            for record in records:
                if claim := decode_claim(record.value):
                    fences.hears(claim)
            position = records[-1].offset + 1 if records else offset
        return fences

    def remember(self, log: EventLog, offset: int) -> None:
        """If there is no fence before this offset, record that, so that nobody searches there again. Blocks while it
        commits, once in some thousand records."""
        if not self.terms and offset - _unclaimed(log) >= _CHUNK:
            with suppress(SimorghError):  # the read succeeded, even if this commit is refused or fails
                log.commit(UNCLAIMED, {topics.SEGMENTS: {0: offset}})

    def counts(self, value: bytes) -> bool:
        """`hears`, for a record's bytes. Transitions of one machine are not parsed; an unreadable record does not
        count."""
        if _OWNED not in value:
            return True
        try:
            return self.hears(decode_told(value))
        except Broken:
            return False

    def hears(self, record: Transition | Claim) -> bool:
        """Process the next record of the topic. Returns whether it is a transition that counts."""
        owner = record.owner
        if owner is None:
            return True
        latest = self.terms.get(owner.partition, (0, 0))
        if isinstance(record, Claim):
            self.terms[owner.partition] = max(latest, _term(owner))
            return False
        return _term(owner) >= latest

    def claim(self, part: int, term: Term, upto: int) -> Claim:
        """The record with which an owner takes a partition over; `upto`: the offset up to which these fences are
        known."""
        fences = [Owner(p, *known) for p, known in sorted(self.terms.items())]
        return Claim(owner=Owner(part, *term), upto=upto, fences=fences)


def _term(owner: Owner) -> Term:
    return owner.generation, owner.attempt


def _unclaimed(log: EventLog) -> int:
    return log.committed(UNCLAIMED, topics.SEGMENTS)[0]
