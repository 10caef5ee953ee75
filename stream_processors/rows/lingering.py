"""Lingering rows: collected over several small batches, converted to Arrow once, and written together.

An insert costs the engine some 6 ms of CPU whatever its size, and more to merge. There is one write at a time;
meanwhile the next rows are collected. Nothing waits for them: views show published transitions at once (see
`views.recent`), and news about a node comes from the present batch. For one process that holds everything.
"""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final, NamedTuple

from stream_processors.parse.batch import HEARD, UNIQUE, Batch
from stream_processors.rows import events
from stream_processors.rows.collected import CollectedProfiles, CollectedRecords, Tables
from stream_processors.rows.identity import (
    Folded,
)
from stream_processors.rows.inserts import Inserts
from stream_processors.rows.profiles import views_of
from stream_processors.rows.writing import Shown
from stream_processors.state import cold
from stream_processors.state.judge import Judge
from stream_processors.state.known import Remembering
from stream_processors.state.orders import told_of
from stream_processors.state.states import Ends, Holders, Looked
from stream_processors.state.teller import Published
from stream_processors.state.tellings import Retold
from stream_processors.views.recent import RecentViews
from warehouse.client import Writer

_WRITE_AT = 5_000
"""Records whose rows are written without lingering."""

_MANY = 2_000
"""Traits and consent of a state, in the middle of a batch."""

_RETOLD: Final = -1

Positions = dict[str, dict[int, int]]


class Linger(NamedTuple):
    """Seconds without a change after which rows are written, and between two writes while events keep coming."""

    quiet: float = 0.2
    busy: float = 1.0


@dataclass(frozen=True, slots=True)
class _Landing:
    """A running write, and the positions that may be committed after it."""

    positions: Positions
    records: int
    recorded: CollectedRecords


class Lingering:
    """`rows.writing.Rows` and `state.states.History` of one process. One thread; a small pool writes beside it."""

    def __init__(
        self,
        writer: Writer,
        inserts: Inserts,
        known: Sequence[Remembering],
        recent: RecentViews,
        linger: Linger,
        positions: Callable[[], Positions],
        landed: Callable[[Positions], None],
    ) -> None:
        """`known`: sets of keys that remember them until their rows have landed. `positions`: the present progress;
        `landed` is called with the positions up to which all rows are in the warehouse."""
        self._writer = writer
        self._inserts = inserts
        self._known = known
        self._recent = recent
        self._linger = linger
        self._positions = positions
        self._has_landed = landed
        self._began_at = self._changed_at = float("-inf")
        self._landing: _Landing | None = None
        self._hurried: CollectedRecords | None = None
        self._profiles = CollectedProfiles()
        self._recorded = CollectedRecords()
        self._terms: Mapping[int, int] = {}
        self._moved: dict[int, int] = {}
        self._uncommitted = False
        self.records = 0
        """The number of processed and uncommitted records of simorgh.events."""
        self._batch: tuple[Batch, events.Seen] | None = None
        self._before: Ends = {}
        self._ends: Ends = {}

    # ---- a step

    def begin(self, before: Ends, ends: Ends) -> None:
        """Begin a step with the events from `before` up to `ends`."""
        self._before, self._ends, self._batch = before, ends, None

    def tellings(self, batch: Batch) -> None:
        """Made from the batch, with its other rows: no other process reads the table."""

    def retellings(self, retold: Retold) -> None:
        if retold:
            self._inserts.write("retellings", events.retelling_rows(retold))

    def orders(self, batch: Batch) -> None:
        if batch.documents and (rows := events.order_rows(batch)).num_rows:
            self._inserts.write("order_tellings", rows)

    def batch(self, batch: Batch, seen: events.Seen, terms: Mapping[int, int]) -> None:
        unique = batch.unique()
        self._add(batch, unique, unique, seen, terms)

    def batch_again(
        self, batch: Batch, ids: Sequence[int], rows: Sequence[int], seen: events.Seen, terms: Mapping[int, int]
    ) -> None:
        """`batch`, if some rows may be in the tables already: those at these indices are not."""
        self._add(batch, ids, rows, seen, terms)

    def _add(
        self, batch: Batch, ids: Sequence[int], rows: Sequence[int], seen: events.Seen, terms: Mapping[int, int]
    ) -> None:
        self._batch, self._terms = (batch, seen), terms
        recorded = self._recorded
        recorded.batches.append((batch, ids, rows))
        recorded.seen = events.merge_seen(recorded.seen, seen) if recorded.seen else dict(seen)
        self.changed(len(batch))
        self._hurry()

    def identity(self, folded: Folded) -> None:
        self._profiles.identity += folded.identity
        self._recorded.members += folded.members
        self._recorded.decisions += folded.decisions
        self._moved.update((node, profile) for node, profile, _ in folded.identity)
        self.changed()

    def show(self, shown: Shown) -> None:
        views = views_of(shown.states, shown.gone, shown.versions)
        self._profiles.views.update(views)
        self._profiles.states.update(shown.states)
        self._recent.show({**self._moved, **shown.homes}, views)
        self._moved = {}
        self._recorded.keys.update(shown.states, shown.gone)
        self.changed()

    def published(self, transitions: Sequence[Published]) -> None:
        self._recorded.transitions += transitions
        if transitions:
            self.changed()

    def end(self) -> None:
        """End the step: its batch belongs to the past."""
        if self._batch is not None:
            batch, seen = self._batch  # not before: a load does not wait for rows of the batch itself
            self._recorded.keys.update(seen, batch.own_nodes())
            self._batch = None
        self._before = self._ends

    def changed(self, records: int = 0) -> None:
        """Positions have advanced by so many events, so there is something to commit, with or without rows."""
        self._uncommitted = True
        self._changed_at = monotonic()
        self.records += records

    # ---- news about nodes

    def ends(self) -> Ends:
        return self._ends

    def settle(self, keys: Iterable[int]) -> None:
        """Without views and profile rows, whose states may be half updated in the middle of a batch."""
        wanted = set(keys)
        under_way = (self._landing.recorded if self._landing else None, self._hurried, self._recorded)
        if any(recorded and not recorded.keys.isdisjoint(wanted) for recorded in under_way):
            self._write(self._take_recorded())

    def read(self, loaded: Holders, renewed: Holders, ends: Ends, judge: Judge) -> None:
        if loaded:
            self.settle(loaded)
            states = {node: one.state for node, one in loaded.items()}
            cold.load(self._writer, states, self._before, judge)
            cold.load_orders(self._writer, states, self._told_here(loaded))
        if self._batch is not None:
            new = {node: one for node, one in renewed.items() if one.ends is not ends}
            _count(*self._batch, {**loaded, **new}, judge)
            _count_orders(self._batch[0], new)

    def _told_here(self, nodes: Container[int]) -> set[int]:
        """The orders that the batch's events of these nodes tell of: their rows of events are not in the table yet."""
        if self._batch is None:
            return set()
        batch = self._batch[0]
        return {batch.documents[i] for i in told_of(batch) if batch.nodes[i] and batch.nodes[i][0] in nodes}

    # ---- writing

    def _hurry(self) -> None:
        """If there are many rows, start to write them while the rest of the batch is computed."""
        if self._landing is None and self._hurried is None and self._recorded.records >= _WRITE_AT:
            self._hurried = self._recorded
            self._inserts.begin(self._take_recorded())

    def write_when_due(self, seconds: float = 0.0) -> bool:
        """Note a finished write and start the next one if it is due. Blocks up to `seconds`. Returns whether there was
        anything to write, or to wait for.
        """
        if self._landing is not None:
            if self._inserts.done(seconds):
                self._land()
            return True
        if not self._uncommitted:
            return False
        now = monotonic()
        if not self._is_due(now):
            return False
        self._begin(now)
        return True

    def _is_due(self, now: float) -> bool:
        many = self._hurried is not None or self._recorded.records >= _WRITE_AT
        return many or now - self._changed_at >= self._linger.quiet or now - self._began_at >= self._linger.busy

    def commit(self) -> None:
        """Write everything, wait for it and commit, unless nothing has happened since the last time."""
        self.write_all()
        if self._uncommitted:
            self._uncommitted = False
            self.records = 0
            self._note_landed(self._positions())

    def write_all(self) -> None:
        """All collected rows are in the warehouse on return. Commits nothing."""
        self._write(self._take_profiles() | self._take_recorded())

    def close(self, *, begin: bool = True) -> None:
        """See `Inserts.close`."""
        self._inserts.close(begin=begin)

    def _write(self, tables: Tables) -> None:
        self._land()
        self._inserts.begin(tables)
        self._inserts.join()
        self._all_landed()

    def _begin(self, now: float) -> None:
        self._began_at = now
        self._uncommitted = False
        self._landing = _Landing(self._positions(), self.records, self._recorded)
        self._inserts.begin(self._take_profiles() | self._take_recorded())

    def _take_profiles(self) -> Tables:
        taken, self._profiles = self._profiles, CollectedProfiles()
        self._recent.landing()
        return taken.tables()

    def _take_recorded(self) -> Tables:
        taken, self._recorded = self._recorded, CollectedRecords()
        for known in self._known:
            known.writing()
        return taken.tables(self._terms)

    def _land(self) -> None:
        self._inserts.join()
        self._hurried = None
        landing, self._landing = self._landing, None
        if landing is not None:
            self.records -= landing.records
            self._note_landed(landing.positions)

    def _all_landed(self) -> None:
        for known in self._known:
            known.landed()
        self._recent.landed()

    def _note_landed(self, positions: Positions) -> None:
        """All rows before these positions are in the warehouse."""
        self._all_landed()
        self._has_landed(positions)


def _count(batch: Batch, seen: events.Seen, holders: Mapping[int, Looked], judge: Judge) -> None:
    """Fold the batch into the states of its nodes' profiles. The hottest loop: once per event."""
    fold_event, get = judge.fold_event, holders.get
    states = batch.state
    if batch.retold:
        states = [_RETOLD if i in batch.retold else state for i, state in enumerate(states)]
    columns = zip(batch.nodes, batch.types, batch.times, batch.events, states, strict=True)
    for nodes, kind, time, event, counts in columns:
        if not nodes or counts != UNIQUE or (one := get(nodes[0])) is None:
            continue
        state = one.state
        state.add_event(kind, time)
        leaves = fold_event(state.facts, kind, time, event)
        if (changes := one.changes) is not None:
            changes |= leaves
    for node, identifier in seen.items():
        if identifier and (one := get(node)) and one.state.add_identifier(node, identifier) and one.changes is not None:
            one.changes |= judge.leaves_of(identities=(identifier.type,))
    for i in batch.writes:
        if batch.state[i] in HEARD and batch.nodes[i] and (one := get(batch.nodes[i][0])):
            _write_traits(one, batch, i, judge)


def _count_orders(batch: Batch, holders: Mapping[int, Looked]) -> None:
    """Fold the orders of which nothing else is told. The state of all others' nodes is loaded."""
    for i in batch.told_once:
        if batch.nodes[i] and (one := holders.get(batch.nodes[i][0])):
            one.state.add_order(batch.types[i], batch.money[i])


def _write_traits(one: Looked, batch: Batch, i: int, judge: Judge) -> None:
    """Fold an event's traits and consent into its profile."""
    event, state = batch.events[i], one.state
    rank, source, channel = batch.rank(i), event.source, event.channel
    changed = {
        kind: [
            name
            for name, value in (values or {}).items()
            if state.write(kind, name, (rank, events.json_text(value), source, channel))
        ]
        for kind, values in (("trait", event.traits), ("consent", event.consent))
    }
    if len(state.traits) + len(state.consents) > _MANY:
        state.keep_latest(judge.kept)
    if one.changes is not None:
        one.changes |= judge.leaves_of(changed["trait"], changed["consent"])
