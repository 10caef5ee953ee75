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

The whole batch is computed before 2. If that fails, the profiles that fail alone are set aside (`state.poison`): they
have no view from then on, their published transitions stay, and the others are computed without them.

A zombie's profile rows have a lower version than the new holder's, which writes a row of every profile that the zombie
processed, alive or gone. The zombie's transitions do not count; it notices that, and writes no rows of them. The
touches that it passes on are redundant. A holder that fails after 1 claims its partitions again before it retries.
"""

from collections.abc import Collection, Mapping, Sequence, Set
from typing import Final, Protocol

from eventlog.port import EventLog, Record
from identity.nodes import from_hex
from schemas import topics
from schemas.clock import Clock, iso
from schemas.errors import Broken
from schemas.records import Rejection, Transition
from stream_processors.checkpoints import Checkpoint, no_checkpoint
from stream_processors.flow.bus import Bus
from stream_processors.flow.work import ProfileLooks, SortedWork, Work
from stream_processors.rows.writing import ProfileRows, Shown, shown_tables
from stream_processors.state import touches
from stream_processors.state.directory import Directory
from stream_processors.state.judge import Case, Judge
from stream_processors.state.poison import CODE, Culprit, Poison, profile_name
from stream_processors.state.states import Looked, States
from stream_processors.state.teller import Teller, ToPublish
from stream_processors.state.touches import Touch, Touches

GROUP: Final = "profiles"
TERM_BITS: Final = 40
"""A profile row's version: the holder's term above the sum of the touch's offset and the holder's position in
simorgh.segments. Partitions may be added, since the term grows. A later attempt has a higher version, since it claims
first.
"""
RETURNED_EVERY_MS: Final = 2_000
"""How often to look for profiles that are no longer set aside."""


class LiveRulesSource(Protocol):
    """The live segments that should be in effect."""

    def bring_up(self, judge: Judge) -> bool:
        """Give new rules to the judge. Returns whether there were any."""
        ...

    def filling(self) -> Mapping[str, str]:
        """Segment -> the cause of its transitions, for segments whose declaration is not in effect everywhere yet:
        changes there are caused by the declaration, whatever the touch."""
        ...


class ProfilesStage:
    """See `state.stage.Stage`."""

    name = "profiles"
    topic = topics.TOUCHED
    group = GROUP

    def __init__(
        self,
        log: EventLog,
        rows: ProfileRows,
        directory: Directory,
        bus: Bus,
        judge: Judge,
        states: States,
        teller: Teller,
        rules: LiveRulesSource,
        poison: Poison,
        clock: Clock,
        checkpoint: Checkpoint = no_checkpoint,
    ) -> None:
        self._log = log
        self._poison = poison
        self._clock = clock
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
        """Whether an earlier attempt failed: its transitions may be in the log and in the tables, or not."""
        self._looked_for_returned = 0
        self.careful = False
        """Whether to compute rows in advance too, which are usually made later: after a failed attempt."""

    # ---- ownership

    def assign(self, partitions: Collection[int], term: int) -> dict[int, int]:
        self.revoke(partitions)
        if not partitions:
            return {}
        self._poison.read_on()
        self._teller.claim(partitions, term)
        self.hold(partitions, term)
        committed = self._log.committed(GROUP, topics.TOUCHED)
        return {part: committed[part] for part in sorted(partitions)}

    def hold(self, partitions: Collection[int], term: int) -> None:
        """Hold these partitions. Whoever calls has seen to it that nobody else publishes for them."""
        self._terms.update(dict.fromkeys(partitions, term))

    def revoke(self, partitions: Collection[int]) -> None:
        self._teller.let_go(partitions)
        self._states.forget(partitions)
        for part in partitions:
            self._terms.pop(part, None)

    def idle(self) -> None:
        """Touch the profiles that are no longer set aside."""
        now = self._clock()
        if self._terms and now - self._looked_for_returned >= RETURNED_EVERY_MS:
            self._looked_for_returned = now
            self._poison.read_on()
            found = Touches()
            for profile in self._poison.take_returned():
                found.add(profile, touches.EVENT)
            if found.by_profile:
                self._bus.send(found)

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
        """Process these profiles, publish their transitions, write their rows. `fresh`: nodes without earlier rows."""
        self._judge.tick()
        self._states.begin()
        if self._rules.bring_up(self._judge):
            self._states.forget()
        looks = self._looks(work, fresh)
        looked, transitions = self._shown(looks)
        self._publish(transitions, work)
        self._teller.verify({item.part for item in work.values()})
        self._teller.settled()
        self._states.keep(looked)
        self.careful = False

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
                raise Broken(
                    f"simorgh.touched/{record.partition}: wanted records of held partitions, got one of another;"
                    " assign it first"
                )
            if touch := touches.parsed(record):
                ver = term << TERM_BITS | record.offset + 1 + self._teller.position
                add(work, Work(touch, record.partition, ver))
        return work

    # ---- whose is what

    def _looks(self, work: dict[int, Work], fresh: Set[int]) -> ProfileLooks:
        looks = ProfileLooks(work, fresh, *self._at_home(work, fresh))
        if self._poison.profiles:
            looks.set_aside(self._poison.profiles.intersection(looks.live))
        return looks

    def _at_home(
        self, work: dict[int, Work], fresh: Set[int]
    ) -> tuple[dict[int, list[int]], dict[int, int], dict[int, dict[str, int]]]:
        """Live profiles with their nodes; those that no longer exist, with their heirs and their memberships. Touches
        of others' profiles are passed on, and those that come back at once are added.
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
        """Add touches to the work; returns the profiles that were not looked up before."""
        new: dict[int, Work] = {}
        for profile, touch in back.by_profile.items():
            known = work.get(profile)
            if known is not None:
                known.touch.add(touch)
            else:
                some = next(iter(work.values()))
                work[profile] = new[profile] = Work(touch, some.part, some.ver)
        return new

    def _sort(self, work: Mapping[int, Work]) -> SortedWork:
        """The present profiles of the touched nodes. A node that identity does not know, or a profile between two of
        its tables, is skipped: identity touches it when its rows are there."""
        members = self._directory.members(list(work))
        found = SortedWork({profile: nodes for profile, nodes in members.items() if profile in nodes})
        elsewhere = _elsewhere(found.live, work)
        homes = self._directory.homes(elsewhere) if elsewhere else {}
        for profile, item in work.items():
            touch = item.touch
            home = profile if profile in found.live else homes.get(profile)
            if homes:
                for node in touch.nodes:
                    if (other := homes.get(node)) and other not in (profile, home):
                        found.passed_on.add(other, touch.cause, (node,), anew=touch.anew)
            if home == profile and profile not in found.live and touch.inherited:
                found.passed_on.add(profile, touch.cause, (), touch.inherited, former=touch.former, anew=touch.anew)
            elif home is not None and home != profile:
                found.gone[profile] = home
                if home:
                    found.passed_on.add(
                        home,
                        touch.cause,
                        touch.nodes,
                        touch.inherited,
                        former=touch.former,
                        anew=touch.anew,
                    )
        return found

    def _take_leave(self, found: SortedWork, work: Mapping[int, Work], fresh: Set[int]) -> dict[int, dict[str, int]]:
        """The memberships of absorbed profiles, for their heirs."""
        if not found.gone:
            return {}
        anew = {profile for profile in found.gone if work[profile].touch.anew}
        left = self._states.leave([profile for profile in found.gone if profile not in fresh], anew)
        for profile, memberships in left.items():
            if heir := found.gone[profile]:
                found.passed_on.add(heir, work[profile].touch.cause, (), memberships)
        return left

    # ---- publishing and showing

    def _publish(self, transitions: list[Transition], work: Mapping[int, Work]) -> None:
        published = self._teller.publish([ToPublish(work[from_hex(one.profile)].part, one) for one in transitions])
        self._checkpoint("segments")
        self._rows.published(published)

    def _shown(self, looks: ProfileLooks) -> tuple[dict[int, Looked], list[Transition]]:
        """Compute the states of the profiles, except those that fail alone, and show them. Returns the transitions to
        publish."""
        well = True
        while True:
            try:
                looked, transitions, shown = self._computed(looks)
                if self.careful:
                    shown_tables(shown)
                self._rows.show(shown)
            except Exception as error:
                self._set_aside(looks, error)
                well = False
            else:
                if well and looked:
                    self._poison.went_well(self.name)
                return looked, transitions

    def _computed(self, looks: ProfileLooks) -> tuple[dict[int, Looked], list[Transition], Shown]:
        """Computes without any effect."""
        live, gone, work = looks.live, looks.gone, looks.work
        anew = {profile for profile in live if work[profile].touch.anew}
        looked = self._states.look(live, {profile: work[profile].part for profile in live}, looks.fresh, anew)
        transitions = self._judge.decide(_cases(gone, looks.left, looked, work), self._rules.filling())
        states = {profile: one.state for profile, one in looked.items()}
        homes = {
            node: profile
            for profile, one in looked.items()
            for node in work[profile].touch.nodes
            if node in one.state.nodes  # it may have been elsewhere when it was touched
        }
        no_more = [*gone, *looks.aside]  # of those, too, of whom there are no rows: a zombie may yet write some
        versions = {profile: work[profile].ver for profile in (*states, *no_more)}
        return looked, transitions, Shown(states, no_more, versions, homes)

    def _set_aside(self, looks: ProfileLooks, error: Exception) -> None:
        """Set aside the profiles that fail alone, and remove them. Raises `error` if none does."""
        self._forget()

        def attempt(some: Sequence[int]) -> None:
            try:
                shown_tables(self._computed(looks.only(some))[2])
            finally:
                self._forget()

        failed = self._poison.find(self.name, list(looks.live), attempt, self._found, error)
        looks.set_aside(failed)

    def _forget(self) -> None:
        """Discard the computed states, which are loaded again."""
        self._states.begin()
        self._states.forget()

    def _found(self, profile: int, reason: str) -> Culprit:
        name = profile_name(profile)
        kept = Rejection(
            id=name,
            code=CODE,
            reason=f"{name}: wanted a profile that can be computed, got {reason}; retry it once that is fixed",
            source=topics.TOUCHED,
            channel="",
            received_at=iso(self._clock()),
            payload=touches.message(Touch(profile, touches.EVENT))[1].decode(),
            digest=0,
        )
        return Culprit(name, name, reason, kept)


def add(work: dict[int, Work], item: Work) -> None:
    """Add a touch."""
    known = work.get(item.touch.profile)
    if known is None:
        work[item.touch.profile] = item
    else:
        known.touch.add(item.touch)
        known.ver = max(known.ver, item.ver)


def _elsewhere(live: Mapping[int, Collection[int]], work: Mapping[int, Work]) -> set[int]:
    """The touched profiles and nodes that are not where the touch says: identity has their present place."""
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
        cases.append(Case(profile, touch.cause, one.state, {}, touch.inherited, one.changes, touch.former))
    return cases
