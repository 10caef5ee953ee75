"""Publishing transitions as one of many holders: claims, fenced appends to simorgh.segments, and its copy in the
warehouse.

A holder that takes over partitions of simorgh.touched first appends a claim on each. From that record on, transitions
of earlier holders for them do not count (`eventlog.fences`), and the new holder has read all that counted before. So at
any time one holder knows what has been published about a profile. A holder that finds a later claim before its own
records knows that these do not count, and writes no rows of them: the tables contain only transitions that count.

An append whose outcome is unknown (a broker that did not answer) may still reach the log later. Its holder claims again
with the next attempt, reads what has arrived up to its claim, and later arrivals do not count.

Side effects of `claim`: 1 the claims  2 transitions, memberships: rows of what counts and may not have been mirrored
3 the position up to which it is mirrored. After a crash the next owner does the same, from the last such position.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Final, NamedTuple

from eventlog.fences import Fences, Term
from eventlog.port import EventLog, Record, present
from schemas import topics
from schemas.errors import Broken
from schemas.records import Owner, Transition, encode, read_transition
from stream_processors.checkpoints import Checkpoint
from stream_processors.state.stage import Superseded

_READ: Final = 20_000
_REMEMBER_EVERY: Final = 20_000
"""The number of records of simorgh.segments that a new holder may have to read, in addition to other holders'."""


class ToPublish(NamedTuple):
    """A transition with its profile's partition of simorgh.touched."""

    part: int
    transition: Transition


class Published(NamedTuple):
    """A transition with its offset in simorgh.segments."""

    offset: int
    transition: Transition


def told_group(part: int) -> str:
    """The consumer group (without members) whose position in simorgh.segments says up to which offset the transitions
    of a partition of simorgh.touched are certainly in the tables."""
    return f"profiles.told.{part}"


class Teller:
    """Publishes for the partitions of simorgh.touched that one holder has. One thread."""

    def __init__(self, log: EventLog, write: Callable[[Sequence[Published]], None], checkpoint: Checkpoint) -> None:
        """`write` writes the rows of transitions that count."""
        self._log = log
        self._write = write
        self._checkpoint = checkpoint
        self.position = 0
        """The next offset of simorgh.segments, after the claims of held partitions. Never goes back while they are
        held."""
        self._fences = Fences()
        self._terms: dict[int, Term] = {}
        self._published = 0
        self._remembered: int | None = 0
        """None: the host keeps the position itself."""

    # ---- ownership

    def claim(self, parts: Collection[int], generation: int) -> None:
        """Become the publisher for these partitions. Raises `Superseded` if a later generation has claimed one."""
        self.let_go(parts)
        terms, upto = self._claim_records(parts, generation)
        self._checkpoint("claim")
        since = min((self._log.committed(told_group(part), topics.SEGMENTS)[0] for part in parts), default=upto)
        self._fences, self.position = Fences.at(self._log, since), since
        self._mirror(self._hear(upto, set(parts)))
        for part, term in terms.items():
            if self._fences.terms.get(part) != term:
                raise _superseded(part)
        self._terms.update(terms)
        self._remember(parts)

    def begin(self, part: int, term: int, since: int) -> None:
        """Become the only publisher, in a log that is not shared: all its transitions count, and no claim is needed.
        `since`: from this offset on, rows may be missing."""
        self._fences, self.position, self._remembered = Fences.at(self._log, since), since, None
        self._terms = {part: (term, 0)}
        self._mirror(self._hear(self._log.ends(topics.SEGMENTS)[0], None))
        self._fences = Fences({part: (term, 0)})

    def _claim_records(self, parts: Collection[int], generation: int) -> tuple[dict[int, Term], int]:
        """Append the claims; the terms claimed, and the offset after the last claim."""
        end = self._log.ends(topics.SEGMENTS)[0]
        fences = Fences.at(self._log, end)
        terms: dict[int, Term] = {}
        for part in sorted(parts):
            known = fences.terms.get(part, (0, 0))
            if known[0] > generation:
                raise _superseded(part)
            terms[part] = (generation, known[1] + 1 if known[0] == generation else 0)
        bodies = [fences.claim(part, term, end) for part, term in terms.items()]
        if not bodies:
            return terms, end
        positions = self._log.append(topics.SEGMENTS, [(b"claim", encode(body)) for body in bodies])
        return terms, positions[-1][1] + 1

    def let_go(self, parts: Collection[int]) -> None:
        for part in parts:
            self._terms.pop(part, None)

    # ---- publishing

    def publish(self, transitions: Sequence[ToPublish]) -> list[Published]:
        """Append transitions, under the ids that they get here, and return them with offsets.

        The caller writes their rows. Raises `Superseded` if another worker holds one of the partitions by now: then
        none of them counts, or the new holder writes the rows of those that do.
        """
        if not transitions:
            return []
        for part, transition in transitions:
            generation, attempt = self._terms[part]
            if self._remembered is not None:
                transition.owner = Owner(part, generation, attempt)
            transition.id = f"trn_{part}.{generation}.{attempt}.{self._published}"
            self._published += 1
        messages = [(transition.profile.encode(), encode(transition)) for _, transition in transitions]
        positions = self._log.append(topics.SEGMENTS, messages)
        if positions[0][1] == self.position and positions[-1][1] == self.position + len(positions) - 1:
            self.position += len(positions)  # nobody has come between
        else:
            self._hear(positions[-1][1] + 1, ())
        for part, _ in transitions:
            self._check(part)
        return [Published(offset, one) for (_, offset), (_, one) in zip(positions, transitions, strict=True)]

    def _check(self, part: int) -> None:
        if self._fences.terms.get(part) != self._terms[part]:
            raise _superseded(part)

    def verify(self, parts: Collection[int]) -> None:
        """Raises `Superseded` unless these are ours at this moment, so that all transitions published for them
        count."""
        self._hear(self._log.ends(topics.SEGMENTS)[0], ())
        for part in parts:
            self._check(part)

    def settled(self) -> None:
        """The rows of all published transitions are in the tables."""
        if self._remembered is not None and self.position - self._remembered >= _REMEMBER_EVERY:
            self._remember(list(self._terms))

    def _remember(self, parts: Collection[int]) -> None:
        for part in parts:
            self._log.commit(told_group(part), {topics.SEGMENTS: {0: self.position}})
        self._remembered = self.position

    # ---- the fold of published transitions

    def _hear(self, upto: int, wanted: Collection[int] | None) -> list[Published]:
        """Read on up to an offset; returns the transitions that count, of the wanted partitions (None: all)."""
        found: list[Published] = []
        while self.position < upto:
            records = self._log.read(topics.SEGMENTS, 0, self.position, min(_READ, upto - self.position))
            if not records:
                raise Broken("simorgh.segments: wanted what was appended, got a log that ends before; restore the log")
            found += self._counted(records, wanted)
            self.position = records[-1].offset + 1
        return found

    def _counted(self, records: Sequence[Record], wanted: Collection[int] | None) -> list[Published]:
        found: list[Published] = []
        for record in present(records):
            if wanted is not None and not wanted and b'"claimed"' not in record.value:
                continue  # only claims matter: others' transitions are not even parsed
            if self._fences.counts(record.value) and (transition := read_transition(record.value)):
                owner = transition.owner
                if wanted is None or (owner is not None and owner.partition in wanted):
                    found.append(Published(record.offset, transition))
        return found

    def _mirror(self, told: list[Published]) -> None:
        for start in range(0, len(told), _READ):
            self._write(told[start : start + _READ])


def _superseded(part: int) -> Superseded:
    return Superseded(
        f"simorgh.touched/{part}: wanted to be its latest holder, got a later one; join the group again."
        " If the consumer group was deleted, its generations began again at 1: see docs/scaling.md"
    )
