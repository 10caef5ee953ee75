"""The profiles that a step reaches, with their states up to date: from the cache, from its parts, or loaded cold."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from identity.graph import IdentityGraph
from identity.nodes import from_hex
from stream_processors import coldload, project
from stream_processors.batch import UNIQUE, Batch
from stream_processors.bounds import LATEST, Kept
from stream_processors.evaluate import Evaluator, Told
from stream_processors.profiles import ProfileCache, ProfileState, inherit
from stream_processors.resolve import Resolution
from warehouse.client import Writer

_MANY = 2_000
"""Traits and consent of a state, in the middle of a batch."""


@dataclass(slots=True)
class Touched:
    """Profiles that a step reaches: their states, and what about each may have changed.

    `changes[p]`: the leaves of segment rules that may have; None where all may.
    """

    states: dict[int, ProfileState] = field(default_factory=dict)
    changes: dict[int, set[int] | None] = field(default_factory=dict)
    gone: dict[int, dict[str, int]] = field(default_factory=dict)
    """Profiles that are no more -> their memberships."""
    inherited: dict[int, dict[str, int]] = field(default_factory=dict)
    """Survivor -> memberships of the profiles that it absorbed."""
    causes: dict[int, str] = field(default_factory=dict)
    """Why transitions of a profile are told, where the step's cause does not say it: a merge or split reached it."""
    owners: dict[int, int] = field(default_factory=dict)
    """Node -> its profile now, 0 for nobody, of the nodes that were seen or moved."""


class States:
    """What is known of profiles beyond the graph. A bounded cache: emptied at any moment, it gives the same answers."""

    def __init__(
        self,
        writer: Writer,
        graph: IdentityGraph,
        evaluator: Evaluator,
        bound: int,
        landed: Callable[[Iterable[int]], None],
    ) -> None:
        """`landed` blocks until rows about some nodes and profiles are in the warehouse; called before reading."""
        self._writer = writer
        self._landed = landed
        self._graph = graph
        self._evaluator = evaluator
        self._cache: ProfileCache[ProfileState] = ProfileCache(bound)

    def trim(self) -> None:
        """Keep within the bound. Between steps: a step holds on to what it touches."""
        self._cache.trim()

    def forget(self) -> list[int]:
        """Empty the cache. Returns the profiles that it held, those used last at the end."""
        held = self._cache.profiles()
        self._cache.clear()
        return held

    def rules_changed(self, read: Kept) -> None:
        """Forget the states that may lack a trait or purpose that the live rules read, and those before (`read`) did
        not: they were at their bounds."""
        kept = self._evaluator.kept
        traits, consents = kept.traits <= read.traits, kept.consents <= read.consents
        for profile, state in self._cache.items() if not (traits and consents) else ():
            if not (traits or len(state.traits) < LATEST) or not (consents or len(state.consents) < LATEST):
                self._cache.drop(profile)

    def hear(self, told: Told) -> None:
        """Bring memberships up to date with what was told of profiles without looking at them."""
        for _, record in told:
            state = self._cache.peek(from_hex(record["profile"]))
            if state is not None and record["kind"] == "entered":
                state.memberships[record["segment"]] = record["entered_at"]
            elif state is not None:
                state.memberships.pop(record["segment"], None)

    def touch(
        self,
        resolution: Resolution,
        before: dict[int, int],
        batch: Batch | None = None,
        seen: Mapping[int, list[Any] | None] | None = None,
    ) -> Touched:
        """The profiles that a batch or an identity change reaches, with their states up to date.

        `before`: where the batch, with the identifiers `seen` in it, begins. What is loaded is bounded by it.
        """
        touched = Touched()
        profile_of = self._graph.profile_of
        owners = {node: profile_of(node) for node in seen or ()}
        touched.owners = owners | resolution.moved
        old = {p for p in resolution.left.values() if p} | {p for p, _ in resolution.passed}
        reached = {*owners.values(), *resolution.moved.values(), *(p for p in old if profile_of(p) == p)} - {0}
        self._after_moves(resolution, old, touched, before)
        for profile, state in self.of([p for p in reached if p not in touched.states], before).items():
            touched.states[profile] = state
            touched.changes[profile] = set()
        for node, identifier in (seen or {}).items():
            profile = owners[node]
            if profile and identifier and touched.states[profile].add_identifier(node, *identifier):
                known = touched.changes[profile]
                if known is not None:
                    known |= self._evaluator.leaves_of(identities=identifier[:1])
        if batch:
            self._count(batch, owners, touched)
        return touched

    def _after_moves(self, resolution: Resolution, old: set[int], touched: Touched, before: dict[int, int]) -> None:
        """Add the profiles whose nodes are not what they were: their states made from cached parts, or loaded."""
        if not resolution.moved:
            return
        profile_of = self._graph.profile_of
        gone = {p for p in old if profile_of(p) != p}
        parts = {p: self._known(p) for p in gone}
        for profile in gone:
            self._cache.drop(profile)
        self._take_leave(gone, parts, touched, resolution.cause())
        sources: dict[int, set[int]] = {p: {p} for p in old - gone}
        for node, profile in resolution.moved.items():
            if profile:
                sources.setdefault(profile, set()).add(resolution.left.get(node) or profile)
        cold: dict[int, Sequence[int]] = {}
        for profile, homes in sources.items():
            nodes = self._graph.nodes_of(profile)
            if any(node not in resolution.moved for node in nodes):
                homes.add(profile)
            if homes == {profile} and (state := self._grown(profile, nodes, resolution)):
                touched.states[profile] = state
                new = resolution.fresh.intersection(nodes)
                touched.changes[profile] = self._evaluator.leaves_of(
                    identities={self._graph.type_of(node) for node in new}
                )
                continue
            known = {p: parts.get(p) or self._known(p) for p in homes if p not in resolution.fresh}
            joined = self._joined(profile, nodes, known, resolution)
            if joined is None:
                cold[profile] = nodes
            else:
                touched.states[profile] = joined
        touched.states.update(self._load(cold, before))
        for profile in sources:
            touched.changes.setdefault(profile, None)
            self._cache.put(profile, touched.states[profile])

    def _grown(self, profile: int, nodes: Sequence[int], resolution: Resolution) -> ProfileState | None:
        """The cached state of a profile that has only gained nodes never seen before; None where that is not so."""
        state = self._known(profile)
        if state is None or not all(node in state.nodes or node in resolution.fresh for node in nodes):
            return None
        if len(state.nodes) > len(nodes) or not state.nodes <= set(nodes):
            return None
        state.nodes = set(nodes)
        return state

    def _take_leave(self, gone: set[int], parts: dict[int, ProfileState | None], touched: Touched, cause: str) -> None:
        """Note what profiles that are no more were members of, for them and for their heirs."""
        unknown = [p for p in gone if parts[p] is None]
        self._landed(unknown)
        memberships = coldload.memberships(self._writer, unknown)
        for profile in gone:
            part = parts[profile]
            touched.causes[profile] = cause
            touched.gone[profile] = part.memberships if part else memberships.get(profile, {})
            heir = self._graph.profile_of(profile)
            if heir:
                touched.causes[heir] = cause
                inherit(touched.inherited.setdefault(heir, {}), touched.gone[profile])

    def _joined(
        self,
        profile: int,
        nodes: Sequence[int],
        parts: dict[int, ProfileState | None],
        resolution: Resolution,
    ) -> ProfileState | None:
        """The state of `profile` out of cached parts; None where they do not cover its nodes exactly."""
        wanted = set(nodes)
        state = ProfileState()
        state.facts.numbered = self._evaluator.live.numbered
        for part in parts.values():
            if part is None or not part.nodes <= wanted:
                return None
            state.absorb(part)
            self._evaluator.absorb(state.facts.leaves, part.facts.leaves)
        if not wanted - state.nodes <= resolution.fresh:
            return None
        state.nodes = wanted
        own = parts.get(profile)
        state.memberships = own.memberships if own else {}
        return state

    def of(self, profiles: Sequence[int], before: Mapping[int, int]) -> dict[int, ProfileState]:
        """Cached states, completed where rules have come since, and the others loaded."""
        states: dict[int, ProfileState] = {}
        cold: dict[int, Sequence[int]] = {}
        lacking: dict[int, list[ProfileState]] = {}
        numbered = self._evaluator.live.numbered
        for profile in profiles:
            state = self._cache.get(profile)
            if state is None:
                cold[profile] = self._graph.nodes_of(profile)
                continue
            states[profile] = state
            if state.facts.numbered < numbered:
                lacking.setdefault(state.facts.numbered, []).append(state)
        for known, some in lacking.items():
            self._complete(some, known, before)
        for profile, state in self._load(cold, before).items():
            states[profile] = state
            self._cache.put(profile, state)
        return states

    def _known(self, profile: int) -> ProfileState | None:
        """The cached state, unless it lacks what a rule that has come since asks for."""
        state = self._cache.get(profile)
        return state if state is not None and state.facts.numbered == self._evaluator.live.numbered else None

    def _complete(self, states: Sequence[ProfileState], numbered: int, before: Mapping[int, int]) -> None:
        """Give states that were made when so many leaves were numbered those that are new."""
        live = self._evaluator.live
        if new := live.since(numbered):
            leaves = {node: state.facts.leaves for state in states for node in state.nodes}
            self._landed(leaves)
            coldload.load_leaves(self._writer, leaves, before, new, self._evaluator.now)
        for state in states:
            live.prune(state.facts.leaves)
            state.facts.numbered, state.facts.true_leaves = live.numbered, None

    def _load(self, cold: Mapping[int, Sequence[int]], before: Mapping[int, int]) -> dict[int, ProfileState]:
        self._landed(key for profile, nodes in cold.items() for key in (profile, *nodes))
        loaded = coldload.load(self._writer, cold, before, self._evaluator)
        for state in loaded.values():
            state.facts.numbered = self._evaluator.live.numbered
        return loaded

    def _count(self, batch: Batch, owners: Mapping[int, int], touched: Touched) -> None:
        """Fold the events that count into the states of their anchors' profiles. The hottest loop: once per event."""
        states, changes, fold_event = touched.states, touched.changes, self._evaluator.fold_event
        columns = zip(batch.nodes, batch.types, batch.times, batch.events, batch.money, batch.state, strict=True)
        for nodes, kind, time, event, money, counts in columns:
            if not nodes or counts != UNIQUE or not (profile := owners[nodes[0]]):
                continue
            state = states[profile]
            state.add_event(kind, time, money)
            leaves = fold_event(state.facts, kind, time, event)
            known = changes[profile]
            if known is not None:
                known |= leaves
        for i in batch.writes:
            if batch.nodes[i] and batch.state[i] == UNIQUE and (profile := owners[batch.nodes[i][0]]):
                state = states[profile]
                leaves = self._evaluator.leaves_of(*project.write_traits(state, batch, i))
                if len(state.traits) + len(state.consents) > _MANY:
                    state.keep_latest(self._evaluator.kept)
                known = changes[profile]
                if known is not None:
                    known |= leaves
