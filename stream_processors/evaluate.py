"""The segments stage: which profiles entered or left which segment, told as transitions.

A transition is a record of what was told. It is appended to `simorgh.segments` first and mirrored in the warehouse
second; memberships are its fold.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from eventlog.fences import Fences
from eventlog.port import EventLog, present
from identity.nodes import from_hex, to_hex
from schemas import topics
from schemas.clock import Clock
from segments.live import LiveRules, ProfileFacts
from segments.sql import Page
from segments.tree import Rule
from stream_processors.batch import Envelope
from stream_processors.bounds import Kept
from stream_processors.coldload import milliseconds
from warehouse.client import Writer, fixed16

if TYPE_CHECKING:
    from stream_processors.states import Touched

SEARCHED = frozenset({"name", "email"})
"""Traits that profiles are searched by: they stay known, too."""

ABSORBED = "absorbed"
"""The cause of a silent transition: a survivor takes over an absorbed profile's earlier entered_at."""

_METRICS = ("events", "orders", "revenue", "refunds", "first_seen", "last_seen")
_NO_PAYLOAD: Mapping[str, Any] = {}
_NONE_HELD: frozenset[int] = frozenset()
_READ = 20_000

Told = list[tuple[int, dict[str, Any]]]
"""Transitions with their offsets in simorgh.segments."""


class Evaluator:
    """The live segments and their transitions. One thread."""

    def __init__(self, log: EventLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self.position = 0
        """The next offset of simorgh.segments."""
        self.versions: dict[str, int] = {}
        self.live = LiveRules({})
        self.now = 0
        self.kept = _kept(self.live)
        """The names of traits and consent that states keep whatever else is written."""
        self._metric_leaves: frozenset[int] = frozenset()
        self._payload_types: set[str] = set()

    # ---- the rules

    def set_segments(self, segments: Mapping[str, tuple[Rule, int]]) -> None:
        """The live segments: id -> (rule, version). Leaf states made before lack those of new leaves
        (`LiveRules.since`), and traits that no rule read."""
        self.live.become({name: rule for name, (rule, _) in segments.items()})
        self.versions = {name: version for name, (_, version) in segments.items()}
        self.kept = _kept(self.live)
        self._metric_leaves = frozenset(self.live.leaves_of(metrics=_METRICS))
        self._payload_types = {kind for kind in self.live.event_types if self.live.needs_payload(kind)}

    def row_types(self) -> Mapping[str, bool]:
        return {kind: self.live.needs_payload(kind) for kind in self.live.event_types}

    def fold_row(self, leaves: dict[int, Any], kind: str, time: int, payload: str) -> None:
        self.live.fold_row(leaves, kind, time, payload, self.now)

    def fold_event(self, facts: ProfileFacts, kind: str, time: int, event: Envelope) -> set[int]:
        """Fold an event that counts into its profile's leaf states; returns the leaves that it may change."""
        payload = event.payload() if kind in self._payload_types else _NO_PAYLOAD
        held = facts.true_leaves or _NONE_HELD
        touched = self.live.fold_event(facts.leaves, kind, time, payload, self.now, held)
        if self._metric_leaves:
            touched |= self._metric_leaves
        return touched

    def leaves_of(
        self, traits: Iterable[str] = (), consent: Iterable[str] = (), identities: Iterable[str] = ()
    ) -> set[int]:
        """The leaves that read these traits, purposes of consent and types of identifiers."""
        return self.live.leaves_of(traits=traits, consent=consent, identities=identities)

    def absorb(self, into: dict[int, Any], other: dict[int, Any]) -> None:
        self.live.absorb(into, other)

    def tick(self) -> None:
        """Read the clock: one step's questions are all about one instant."""
        self.now = max(self.now, self._clock())

    # ---- evaluation

    def evaluate(self, touched: "Touched", cause: str) -> Told:
        """Evaluate touched profiles, append the transitions and fold them into the states' memberships."""
        now = self.now
        records: list[dict[str, Any]] = []
        for profile, memberships in touched.gone.items():
            records += self._exits(profile, memberships, touched.causes.get(profile, cause))
        for profile, state in touched.states.items():
            leaves = touched.changes[profile]
            facts = state.current_facts(metrics=bool(self._metric_leaves), kept=self.kept)
            if leaves is None:
                facts.true_leaves = None
            inherited = touched.inherited.get(profile)
            held = self.live.update(facts, leaves or (), state.memberships, now)
            if held or inherited:
                why = touched.causes.get(profile, cause)
                records += self._changes(profile, state.memberships, held, inherited or {}, why, now)
        return self._tell(records)

    def _changes(
        self,
        profile: int,
        before: dict[str, int],
        held: Mapping[str, bool],
        inherited: Mapping[str, int],
        cause: str,
        now: int,
    ) -> list[dict[str, Any]]:
        """Transitions from `before`, which is brought up to date."""
        records = []
        name = to_hex(profile)
        for segment, holds in held.items():
            if holds and segment not in before:
                before[segment] = inherited.get(segment, now)
                records.append(self._record(name, segment, "entered", now, before[segment], cause))
            elif holds and inherited.get(segment, before[segment]) < before[segment]:
                before[segment] = inherited[segment]
                records.append(self._record(name, segment, "entered", now, before[segment], ABSORBED))
            elif not holds and segment in before:
                records.append(self._record(name, segment, "exited", now, before.pop(segment), cause))
        return records

    def _exits(self, profile: int, memberships: Mapping[str, int], cause: str) -> list[dict[str, Any]]:
        """Of a profile that leaves all of these."""
        name = to_hex(profile)
        return [self._record(name, s, "exited", self.now, at, cause) for s, at in sorted(memberships.items())]

    def _record(self, profile: str, segment: str, kind: str, at: int, entered: int, cause: str) -> dict[str, Any]:
        """`profile`: as hex."""
        return {
            "segment": segment,
            "version": self.versions.get(segment, 1),
            "profile": profile,
            "kind": kind,
            "at": at,
            "entered_at": entered,
            "cause": cause,
        }

    def tell(
        self, segments: Mapping[str, tuple[set[int], str]], before: Mapping[str, Mapping[int, int]]
    ) -> Iterator[Told]:
        """Make memberships equal to these members, with the cause for each segment, some thousands at a time: for
        back-fills, edits and deletions. `before`: as `members` says."""
        records = (
            self._record(to_hex(profile), segment, kind, self.now, at, cause)
            for segment, (members, cause) in segments.items()
            for profile, kind, at in self._differences(members, before.get(segment, {}))
        )
        while chunk := list(islice(records, _READ)):
            yield self._tell(chunk)

    def _differences(self, members: set[int], before: Mapping[int, int]) -> Iterator[tuple[int, str, int]]:
        """Profile, kind of the transition, entered_at."""
        for profile in sorted(members - before.keys()):
            yield profile, "entered", self.now
        for profile, at in sorted(before.items()):
            if profile not in members:
                yield profile, "exited", at

    def _tell(self, records: Sequence[dict[str, Any]]) -> Told:
        for n, record in enumerate(records):
            record["id"] = f"trn_{self.position + n}"  # its place in the topic, which has one writer
        if records:
            messages = [(r["profile"].encode(), orjson.dumps(r)) for r in records]
            positions = self._log.append(topics.SEGMENTS, messages)
            self.position = positions[-1][1] + 1
            return [(offset, r) for (_, offset), r in zip(positions, records, strict=True)]
        return []

    # ---- folds of what was told

    def catch_up(self, writer: Writer, group: str) -> None:
        """Write the rows of transitions that were appended after the last commit."""
        self.position = self._log.committed(group, topics.SEGMENTS)[0]
        self.mirror(writer)

    def mirror(self, writer: Writer) -> None:
        """Write the rows of all transitions from `position` on."""
        fences = Fences.at(self._log, self.position)
        while records := self._log.read(topics.SEGMENTS, 0, self.position, _READ):
            numbered = [
                (record.offset, orjson.loads(record.value))
                for record in present(records)
                if fences.counts(record.value)
            ]
            rows = transition_rows(numbered)
            writer.insert("transitions", rows)
            writer.insert("memberships", membership_rows(rows))
            self.position = records[-1].offset + 1


def members(writer: Writer, segments: Iterable[str], page: Page) -> dict[str, dict[int, int]]:
    """Segment -> profile -> entered_at of the members in a page, from what was told."""
    sql = """SELECT segment, profile, argMax(entered_at, ver) FROM memberships
        WHERE segment IN {s:Array(String)} AND profile BETWEEN {first:UInt128} AND {last:UInt128}
        GROUP BY segment, profile HAVING argMax(member, ver) = 1"""
    found: dict[str, dict[int, int]] = {}
    for segment, profile, entered in writer.rows(sql, {"s": list(segments), "first": page.first, "last": page.last}):
        found.setdefault(segment, {})[profile] = milliseconds(entered)
    return found


def _kept(live: LiveRules) -> Kept:
    return Kept(live.names("trait") | SEARCHED, live.names("consent"))


def transition_rows(records: Sequence[tuple[int, dict[str, Any]]]) -> pa.Table:
    stamp = pa.timestamp("ms", "UTC")
    return pa.table(
        {
            "profile": fixed16([from_hex(r["profile"]) for _, r in records]),
            "segment": pa.array([r["segment"] for _, r in records], pa.string()),
            "off": pa.array([offset for offset, _ in records], pa.uint64()),
            "kind": pa.array([r["kind"] for _, r in records], pa.string()),
            "at": pa.array([r["at"] for _, r in records], stamp),
            "cause": pa.array([r["cause"] for _, r in records], pa.string()),
            "entered_at": pa.array([r["entered_at"] for _, r in records], stamp),
        }
    )


def membership_rows(transitions: pa.Table) -> pa.Table:
    """Of `transition_rows`."""
    return pa.table(
        {
            **{name: transitions[name] for name in ("segment", "profile", "entered_at")},
            "member": pc.equal(transitions["kind"], "entered").cast(pa.uint8()),
            "ver": transitions["off"],
        }
    )
