"""The profiles stage: a partition of simorgh.touched -> transitions and profile rows. One holder for each profile.

Side effects of `assign`: those of `Teller.claim`. Side effects of `process`, in order, and what a crash, or a loss of
the partition, after each means. Touches are read again from the last commit.

  1 simorgh.touched    what is about other profiles is passed on, again: looked at once more, nothing changes. An
                       absorbed profile's memberships go to its heir before they end here: they cannot get lost between
  2 views, profile_rows  the same profiles are looked at again, under a higher version: views show for a moment what has
                       not been published. The other way round a webhook could be called before the view shows why
  3 simorgh.segments   what was published is there: the next holder's claim stands after it, and the holder reads up to
                       its claim
  4 transitions, memberships   written by the next holder, which mirrors what counts
  – the host commits   the next batch

A zombie: its profile rows have a lower version than the new holder's, which writes a row of every profile that the
zombie looked at, alive or gone. What the zombie publishes counts nowhere, and it notices, so it writes no rows of it;
what it passes on is redundant. A holder that fails after 1 claims its partitions anew before it tries again.
"""

from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Final, Protocol

from eventlog.port import EventLog, Record
from identity.nodes import from_hex
from schemas import topics
from schemas.errors import Broken
from stream_processors.checkpoints import Checkpoint, no_checkpoint
from stream_processors.flow.bus import Bus
from stream_processors.rows.writing import Rows, Shown
from stream_processors.state import touches
from stream_processors.state.directory import Directory
from stream_processors.state.judge import Case, Judge, Transition
from stream_processors.state.states import Looked, States
from stream_processors.state.teller import Teller
from stream_processors.state.touches import Touch, Touches

GROUP: Final = "profiles"
TERM_BITS: Final = 40
"""A profile row's version: the holder's term above the sum of the touch's offset and the holder's position in
simorgh.segments. Partitions may be added, since the term grows; another try's version is higher, since it claims first.
"""


class LiveRulesSource(Protocol):
    """The live segments, as far as they are to be in effect."""

    def bring_up(self, judge: Judge) -> bool:
        """Give the judge the rules that it has not got yet; whether there were any."""
        ...

    def filling(self) -> Mapping[str, str]:
        """Segment -> the cause of its transitions, for those whose declaration is not in effect everywhere yet: what
        changes there is the declaration's doing, whatever made us look."""
        ...


class AsDeclared:
    """The live segments where declarations are put into effect between two steps, and so before every step."""

    def bring_up(self, judge: Judge) -> bool:
        return False

    def filling(self) -> Mapping[str, str]:
        return {}


@dataclass(slots=True)
class Work:
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
    """See `state.stage.Stage`."""

    name = "profiles"
    topic = topics.TOUCHED
    group = GROUP

    def __init__(
        self,
        log: EventLog,
        rows: Rows,
        directory: Directory,
        bus: Bus,
        judge: Judge,
        states: States,
        teller: Teller,
        rules: LiveRulesSource,
        checkpoint: Checkpoint = no_checkpoint,
    ) -> None:
        self._log = log
        self._rows = rows
        self._directory = directory
        self._bus = bus
        self._judge = judge
        self._states = states
        self._teller = teller
        self._rules = rules
        self._checkpoint = checkpoint
        self._terms: dict[int, int] = {}
        self._doubtful = False
        """Whether an earlier try failed: what it published may or may not be in the log, and in the tables."""

    # ---- ownership

    def assign(self, partitions: Collection[int], term: int) -> dict[int, int]:
        self.revoke(partitions)
        if not partitions:
            return {}
        self._teller.claim(partitions, term)
        self._terms.update(dict.fromkeys(partitions, term))
        committed = self._log.committed(GROUP, topics.TOUCHED)
        return {part: committed[part] for part in sorted(partitions)}

    def revoke(self, partitions: Collection[int]) -> None:
        self._teller.let_go(partitions)
        self._states.forget(partitions)
        for part in partitions:
            self._terms.pop(part, None)

    def idle(self) -> None:
        """Nothing happens here without a touch."""

    # ---- one batch

    def process(self, records: Sequence[Record]) -> None:
        """See `Stage.process`. Once a transition is in simorgh.segments, the profile's view and row show it."""
        if not records:
            return
        if self._doubtful:
            self._claim_again()
        self._doubtful = True
        self.see_to(self._read(records), frozenset())
        self._doubtful = False

    def see_to(self, work: dict[int, Work], fresh: Set[int]) -> None:
        """Look at these profiles, publish what changes, and see to their rows.

        `fresh`: nodes of which nothing was known before what is new about them.
        """
        self._judge.tick()
        self._states.begin()
        if self._rules.bring_up(self._judge):
            self._states.forget()
        live, gone, left = self._at_home(work, fresh)
        looked = self._states.look(live, {profile: work[profile].part for profile in live}, fresh)
        cases = _cases(gone, left, looked, work)
        transitions = self._judge.decide(cases, self._rules.filling())
        self._show(looked, gone, work)
        self._publish(transitions, work)
        self._teller.verify({item.part for item in work.values()})
        self._teller.settled()
        self._states.keep(looked)

    def _claim_again(self) -> None:
        by_term: dict[int, list[int]] = {}
        for part, term in self._terms.items():
            by_term.setdefault(term, []).append(part)
        for term, parts in by_term.items():
            self._teller.claim(parts, term)

    def _read(self, records: Sequence[Record]) -> dict[int, Work]:
        work: dict[int, Work] = {}
        for record in records:
            term = self._terms.get(record.partition)
            if term is None:
                raise Broken(f"simorgh.touched/{record.partition}: wanted records of held partitions; assign it first")
            if touch := touches.parsed(record):
                ver = term << TERM_BITS | record.offset + 1 + self._teller.position
                add(work, Work(touch, record.partition, ver))
        return work

    # ---- whose is what

    def _at_home(
        self, work: dict[int, Work], fresh: Set[int]
    ) -> tuple[dict[int, list[int]], dict[int, int], dict[int, dict[str, int]]]:
        """The profiles alive with their nodes, those that are no more with their heirs, and what these leave.

        What is others' is passed on, and what comes back at once is added to the work.
        """
        live: dict[int, list[int]] = {}
        gone: dict[int, int] = {}
        left: dict[int, dict[str, int]] = {}
        waiting = work
        while waiting:
            found = self._sort(waiting)
            left |= self._take_leave(found, waiting, fresh)
            live |= found.live
            gone |= found.gone
            back = self._bus.pass_on(found.passed_on)
            waiting = self._came_back(back, work)
        return {profile: nodes for profile, nodes in live.items() if profile not in gone}, gone, left

    def _came_back(self, back: Touches, work: dict[int, Work]) -> dict[int, Work]:
        """Add it to the work; returns what of it was not looked for before."""
        new: dict[int, Work] = {}
        for profile, touch in back.by_profile.items():
            known = work.get(profile)
            if known is not None:
                known.touch.add(touch)
            else:
                some = next(iter(work.values()))
                work[profile] = new[profile] = Work(touch, some.part, some.ver)
        return new

    def _sort(self, work: Mapping[int, Work]) -> _Sorted:
        """Who the touched are now. A node that identity has not heard of, or a profile between two of its tables, is
        left: identity touches it when its rows are there."""
        members = self._directory.members(list(work))
        found = _Sorted({profile: nodes for profile, nodes in members.items() if profile in nodes})
        elsewhere = _elsewhere(found.live, work)
        homes = self._directory.homes(elsewhere) if elsewhere else {}
        for profile, item in work.items():
            touch = item.touch
            home = profile if profile in found.live else homes.get(profile)
            if homes:
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

    def _take_leave(self, found: _Sorted, work: Mapping[int, Work], fresh: Set[int]) -> dict[int, dict[str, int]]:
        """What those who are gone leave; their heirs are to get it."""
        if not found.gone:
            return {}
        left = self._states.leave([profile for profile in found.gone if profile not in fresh])
        for profile, memberships in left.items():
            if heir := found.gone[profile]:
                found.passed_on.add(heir, work[profile].touch.cause, (), memberships)
        return left

    # ---- publishing and showing

    def _publish(self, transitions: list[Transition], work: Mapping[int, Work]) -> None:
        published = self._teller.publish([(work[from_hex(r["profile"])].part, r) for r in transitions])
        self._checkpoint("segments")
        self._rows.published(published)

    def _show(self, looked: Mapping[int, Looked], gone: Collection[int], work: Mapping[int, Work]) -> None:
        """Of those gone, too, even where there are no rows of them: a zombie that saw them alive may yet write some."""
        states = {profile: one.state for profile, one in looked.items()}
        homes = {node: profile for profile in looked for node in work[profile].touch.nodes}
        versions = {profile: work[profile].ver for profile in (*states, *gone)}
        self._rows.show(Shown(states, gone, versions, homes))


def add(work: dict[int, Work], item: Work) -> None:
    """Add what a touch comes to."""
    known = work.get(item.touch.profile)
    if known is None:
        work[item.touch.profile] = item
    else:
        known.touch.add(item.touch)
        known.ver = max(known.ver, item.ver)


def _elsewhere(live: Mapping[int, Collection[int]], work: Mapping[int, Work]) -> set[int]:
    """The touched profiles and nodes that are not where the touch takes them to be: identity says where they are."""
    wanted = {profile for profile in work if profile not in live}
    for profile, item in work.items():
        wanted.update(item.touch.nodes.difference(live.get(profile, ())))
    return wanted


def _cases(
    gone: Collection[int],
    left: Mapping[int, Mapping[str, int]],
    looked: Mapping[int, Looked],
    work: Mapping[int, Work],
) -> list[Case]:
    cases = [Case(p, work[p].touch.cause, None, left.get(p, {})) for p in gone]
    for profile, one in looked.items():
        touch = work[profile].touch
        cases.append(Case(profile, touch.cause, one.state, {}, touch.inherited, one.changes))
    return cases
