"""The profiles stage: a partition of simorgh.touched -> transitions and profile rows. One owner for each profile.

Side effects of `assign`: those of `Teller.claim`. Side effects of `process`, in order, and what a crash, or a loss of
the partition, after each means. Touches are read again from the last commit.

  1 simorgh.touched    what is about other profiles is passed on, again: looked at once more, nothing changes. An
                       absorbed profile's memberships go to its heir before they end here: they cannot get lost between
  2 views, profile_rows  the same profiles are looked at again, under a higher version: views show for a moment what has
                       not been told. The other way round a webhook could be called before the view shows why
  3 simorgh.segments   what was told is there: the next owner's claim stands after it, and it reads up to its claim
  4 transitions, memberships   written by the next owner, which mirrors what counts
  – the host commits   the next batch

A zombie: its profile rows have a lower version than the new owner's, which writes one of whoever the zombie looked at,
alive or gone; what it tells counts nowhere and it notices, so it writes no rows of it; what it passes on is redundant.
An owner that fails after 1 claims its partitions anew before it tries again.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

from eventlog.port import EventLog, Record
from identity.nodes import from_hex
from schemas import topics
from schemas.clock import Clock
from schemas.errors import Broken, InvalidInput
from stream_processors import coldload, project
from stream_processors.checkpoints import Checkpoint, no_checkpoint
from stream_processors.cluster import touches
from stream_processors.cluster.judge import Case, Judge
from stream_processors.cluster.live_segments import LiveSegments
from stream_processors.cluster.novelty import homes_of
from stream_processors.cluster.states import KnownStates, Looked
from stream_processors.cluster.teller import Teller
from stream_processors.cluster.touches import Touch, Touches
from stream_processors.profiles import CACHED_PROFILES
from warehouse.client import Writer

_LOG = logging.getLogger(__name__)
GROUP: Final = "profiles"
GENERATION_BITS: Final = 40
"""A profile row's version: the owner's generation above the sum of the touch's offset and the owner's position in
simorgh.segments. Partitions may be added, since the generation grows; another try's version is higher, since it claims
first.
"""

_LOOKED_UP = 20_000
_MEMBERS = """SELECT profile, node FROM members WHERE profile IN {profiles:Array(UInt128)}
    GROUP BY profile, node HAVING argMax(live, ver) = 1"""


@dataclass(slots=True)
class _Work:
    """A batch's touches of one profile as one; its partition, and the version of its row."""

    touch: Touch
    part: int
    ver: int


@dataclass(slots=True)
class _Sorted:
    """What a batch comes to: profiles alive -> their nodes, profiles that are no more -> their heirs (0: nobody), and
    what goes to others."""

    live: dict[int, list[int]] = field(default_factory=dict)
    gone: dict[int, int] = field(default_factory=dict)
    passed_on: Touches = field(default_factory=Touches)


class ProfilesStage:
    """See `stream_processors.cluster.stage.Stage`."""

    name = "profiles"
    topic = topics.TOUCHED
    group = GROUP

    def __init__(
        self,
        log: EventLog,
        writer: Writer,
        clock: Clock,
        *,
        checkpoint: Checkpoint = no_checkpoint,
        cached_profiles: int = CACHED_PROFILES,
    ) -> None:
        self._log = log
        self._writer = writer
        self._checkpoint = checkpoint
        self._judge = Judge(log, clock)
        self._states = KnownStates(writer, self._judge, len(log.ends(topics.EVENTS)), cached_profiles)
        self._segments = LiveSegments(log)
        self._teller = Teller(log, writer, checkpoint)
        self._generations: dict[int, int] = {}
        self._doubtful = False
        """Whether an earlier try failed: what it told may or may not be in the log, and in the tables."""

    # ---- ownership

    def assign(self, partitions: Collection[int], generation: int) -> dict[int, int]:
        self.revoke(partitions)
        if not partitions:
            return {}
        self._teller.claim(partitions, generation)
        self._generations.update(dict.fromkeys(partitions, generation))
        committed = self._log.committed(GROUP, topics.TOUCHED)
        return {part: committed[part] for part in sorted(partitions)}

    def revoke(self, partitions: Collection[int]) -> None:
        self._teller.let_go(partitions)
        self._states.forget(partitions)
        for part in partitions:
            self._generations.pop(part, None)

    def idle(self) -> None:
        """Nothing happens here without a touch."""

    def forget(self) -> None:
        """Empty the cache of profiles: they are loaded again."""
        self._states.forget()

    # ---- one batch

    def process(self, records: Sequence[Record]) -> None:
        """See `Stage.process`. Once a transition is in simorgh.segments, the profile's view and row show it."""
        if not records:
            return
        if self._doubtful:
            self._claim_again()
        self._doubtful = True
        work = self._read(records)
        self._judge.tick()
        if self._segments.read_on()[1]:
            self._judge.set_segments(self._segments.segments.live)
            self._states.forget()
        found = self._sort(work)
        left = self._pass_on(found, work)
        self._states.drop(found.gone)
        looked = self._states.look(found.live, {profile: work[profile].part for profile in found.live})
        cases = _cases(found, left, looked, work)
        transitions = self._judge.decide(cases, self._segments.filling())
        self._write_rows(cases, work)
        self._tell(transitions, work)
        self._teller.verify({item.part for item in work.values()})
        self._teller.settled()
        self._states.keep(looked)
        self._doubtful = False

    def _claim_again(self) -> None:
        by_generation: dict[int, list[int]] = {}
        for part, generation in self._generations.items():
            by_generation.setdefault(generation, []).append(part)
        for generation, parts in by_generation.items():
            self._teller.claim(parts, generation)

    def _read(self, records: Sequence[Record]) -> dict[int, _Work]:
        work: dict[int, _Work] = {}
        for record in records:
            generation = self._generations.get(record.partition)
            if generation is None:
                raise Broken(f"simorgh.touched/{record.partition}: wanted records of held partitions; assign it first")
            try:
                touch = touches.parse(record.value)
            except (ValueError, TypeError, LookupError, AttributeError, InvalidInput) as error:
                _LOG.warning("touch %d/%d is left out: %s", record.partition, record.offset, type(error).__name__)
                continue
            ver = generation << GENERATION_BITS | record.offset + 1 + self._teller.position
            known = work.get(touch.profile)
            if known is None:
                work[touch.profile] = _Work(touch, record.partition, ver)
            else:
                known.touch.add(touch)
                known.ver = max(known.ver, ver)
        return work

    # ---- whose is what

    def _sort(self, work: dict[int, _Work]) -> _Sorted:
        """Who the touched are today. A node that identity has not heard of, or a profile between two of its tables, is
        left: identity touches it when its rows are there."""
        members = self._members(list(work))
        found = _Sorted({profile: nodes for profile, nodes in members.items() if profile in nodes})
        homes = homes_of(self._writer, _elsewhere(found.live, work))
        for profile, item in work.items():
            touch = item.touch
            home = profile if profile in found.live else homes.get(profile)
            for node in touch.nodes:
                if (other := homes.get(node)) and other not in (profile, home):
                    found.passed_on.add(other, touch.cause, (node,))
            if home == profile and profile not in found.live and touch.inherited:
                found.passed_on.add(profile, touch.cause, (), touch.inherited)
            elif home is not None and home != profile:
                found.gone[profile] = home
                if home:
                    found.passed_on.add(home, touch.cause, touch.nodes, touch.inherited)
        return found

    def _members(self, profiles: Sequence[int]) -> dict[int, list[int]]:
        members: dict[int, list[int]] = {}
        for start in range(0, len(profiles), _LOOKED_UP):
            for profile, node in self._writer.look_up(_MEMBERS, {"profiles": profiles[start : start + _LOOKED_UP]}):
                members.setdefault(profile, []).append(node)
        return members

    def _pass_on(self, found: _Sorted, work: dict[int, _Work]) -> dict[int, dict[str, int]]:
        """Append what is others' to see to, with what those who are gone leave to their heirs; returns the latter."""
        left = coldload.memberships(self._writer, found.gone)
        for profile, memberships in left.items():
            if heir := found.gone[profile]:
                found.passed_on.add(heir, work[profile].touch.cause, (), memberships)
        if messages := found.passed_on.messages():
            self._log.append(topics.TOUCHED, messages)
        self._checkpoint("passed_on")
        return left

    # ---- deciding, telling, writing

    def _tell(self, transitions: list[dict[str, Any]], work: dict[int, _Work]) -> None:
        told = self._teller.tell([(work[from_hex(r["profile"])].part, r) for r in transitions])
        self._checkpoint("segments")
        self._teller.write(told)

    def _write_rows(self, cases: Sequence[Case], work: dict[int, _Work]) -> None:
        """Of those gone, too, even where there are no rows of them: a zombie that saw them alive may yet write some."""
        states = {case.profile: case.state for case in cases if case.state is not None}
        gone = [case.profile for case in cases if case.state is None]
        versions = pa.array([work[profile].ver for profile in (*states, *gone)], pa.uint64())
        views = project.view_rows(project.views_of(states, gone, 0))
        for table, rows in (("views", views), ("profile_rows", project.profile_rows(states, gone, 0))):
            self._writer.insert(table, rows.set_column(rows.schema.get_field_index("ver"), "ver", versions))
            self._checkpoint(table)


def _elsewhere(live: Mapping[int, Collection[int]], work: Mapping[int, _Work]) -> set[int]:
    """The touched profiles and nodes that are not where the touch takes them to be: identity says where they are."""
    wanted = {profile for profile in work if profile not in live}
    for profile, item in work.items():
        wanted.update(item.touch.nodes.difference(live.get(profile, ())))
    return wanted


def _cases(
    found: _Sorted, left: Mapping[int, Mapping[str, int]], looked: Mapping[int, Looked], work: Mapping[int, _Work]
) -> list[Case]:
    cases = [Case(p, work[p].touch.cause, None, left.get(p, {})) for p in found.gone]
    for profile, one in looked.items():
        touch = work[profile].touch
        cases.append(Case(profile, touch.cause, one.state, {}, touch.inherited, one.changes))
    return cases
