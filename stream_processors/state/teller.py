"""Telling transitions as one of many: claims, fenced appends to simorgh.segments, and its mirror in the warehouse.

Whoever takes partitions of simorgh.touched over appends a claim on each first. From that record on, whatever an earlier
owner appends for them counts nowhere (`eventlog.fences`), and the claimant has read all that counted before.
So "what has been told of a profile" is one thing at any time, known to one owner. An owner that finds a later claim
before its own records knows that nobody hears it, and writes no rows of them: the tables never hold what does not
count.

An append whose outcome is unknown (a broker that did not answer) may still reach the log later. Its owner claims again,
one try higher, reads up to its claim what got through, and what comes later does not count.

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
"""Records of simorgh.segments: how many a new owner may have to read, beside what others told."""


class ToPublish(NamedTuple):
    """A transition with its profile's partition of simorgh.touched."""

    part: int
    transition: Transition


class Published(NamedTuple):
    """A transition with its offset in simorgh.segments."""

    offset: int
    transition: Transition


def told_group(part: int) -> str:
    """The consumer group (without members) whose position in simorgh.segments says up to where the transitions of a
    partition of simorgh.touched are sure to be in the tables."""
    return f"profiles.told.{part}"


class Teller:
    """Publishes for the partitions of simorgh.touched that one holder has. One thread."""

    def __init__(self, log: EventLog, write: Callable[[Sequence[Published]], None], checkpoint: Checkpoint) -> None:
        """`write` sees to the rows of transitions that count."""
        self._log = log
        self._write = write
        self._checkpoint = checkpoint
        self.position = 0
        """The next offset of simorgh.segments; beyond the claims of what is held. Never goes back while it is."""
        self._fences = Fences()
        self._terms: dict[int, Term] = {}
        self._published = 0
        self._remembered: int | None = 0
        """None: the host keeps the position itself."""

    # ---- ownership

    def claim(self, parts: Collection[int], generation: int) -> None:
        """Become the one who tells for these. Raises `Superseded` where a later generation has claimed one."""
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
        """Become the one who publishes for everything, in a log that nobody shares: what stands there counts, and no
        claim is needed. `since`: from this offset on, rows may be missing."""
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

    # ---- telling

    def publish(self, transitions: Sequence[ToPublish]) -> list[Published]:
        """Append transitions, under the ids that they get here, and return them with offsets.

        Their rows are for the caller to write. Raises `Superseded` where one of the partitions is somebody else's by
        now: then none of them counts, or the new owner writes the rows of those that do.
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
        """Raises `Superseded` unless these are ours at this moment: then all that was told of them counts."""
        self._hear(self._log.ends(topics.SEGMENTS)[0], ())
        for part in parts:
            self._check(part)

    def settled(self) -> None:
        """The rows of all that was told are in the tables."""
        if self._remembered is not None and self.position - self._remembered >= _REMEMBER_EVERY:
            self._remember(list(self._terms))

    def _remember(self, parts: Collection[int]) -> None:
        for part in parts:
            self._log.commit(told_group(part), {topics.SEGMENTS: {0: self.position}})
        self._remembered = self.position

    # ---- the fold of what was told

    def _hear(self, upto: int, wanted: Collection[int] | None) -> list[Published]:
        """Read on up to an offset; the transitions that count, of the partitions that are wanted (None: all)."""
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
        f"simorgh.touched/{part}: wanted to be its latest owner, got a later one; join the group again."
        " Where the consumer group was deleted, its generations began again: see docs/scaling.md"
    )
