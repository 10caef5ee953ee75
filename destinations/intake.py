"""From transitions to scheduled deliveries: reads simorgh.segments, appends to simorgh.deliveries."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Final

from destinations.delivery import Delivery, Identity, delivery_id, refused, schedule, to_record
from destinations.ledger import GROUP, TICK
from eventlog.fences import Fences
from eventlog.port import EventLog, present
from registry.models import Trigger
from registry.registry import Registry
from schemas import topics
from schemas.clock import Clock
from schemas.records import Transition, read_transition

BATCH: Final = 500
_NOT_SHOWN_SECONDS: Final = 0.002

IdentitiesOf = Callable[[list[int]], dict[int, list[Identity]]]
"""Profiles to their identities; a profile without any may be missing."""

WhoAllows = Callable[[str, Sequence[int]], Set[int]]
"""A purpose and profiles -> those of them that allow it at this moment. Blocks for a query or two."""


@dataclass(frozen=True, slots=True)
class TransitionBatch:
    """The result of one read of the log: new deliveries in the order of their transitions, all of them in the log."""

    triggers: Mapping[str, Trigger]
    deliveries: list[Delivery]
    positions: dict[int, int]


class Intake:
    """Used by one thread at a time; `take` blocks."""

    def __init__(
        self,
        log: EventLog,
        registry: Registry,
        identities_of: IdentitiesOf,
        who_allows: WhoAllows,
        clock: Clock,
        *,
        reached: Callable[[str], None],
        known: set[str],
        shown: Callable[[], Sequence[int]],
    ) -> None:
        self._log = log
        self._registry = registry
        self._identities_of = identities_of
        self._who_allows = who_allows
        self._clock = clock
        self._reached = reached
        self._shown = shown
        self._known = known  # scheduled before a crash and not committed: at most one round's deliveries
        self.positions = log.committed(GROUP, topics.SEGMENTS)
        self._fences = Fences.at(log, self.positions[0])

    def take(self) -> TransitionBatch:
        """Wait up to a tick for transitions and schedule their deliveries (step 1 of the stage)."""
        self._wait()
        positions: dict[int, int] = {}
        transitions: list[Transition] = []
        fences = Fences(self._fences.terms)  # a copy: if this fails, the same records are read again
        for partition, (offset, shown) in enumerate(zip(self.positions, self._shown(), strict=True)):
            records = self._log.read(topics.SEGMENTS, partition, offset, max(0, min(BATCH, shown - offset)))
            transitions += [
                transition
                for record in present(records)
                if fences.counts(record.value)
                and (transition := read_transition(record.value))  # other programs may write to the topic
            ]
            if records:
                positions[partition] = records[-1].offset + 1
        # After the read: a trigger that was declared before a transition is called for it.
        self._registry.refresh()
        triggers = self._registry.triggers
        deliveries = self._append(self._plan(transitions, triggers))
        for partition, offset in positions.items():
            self.positions[partition] = offset
        self._fences = fences
        if positions:
            fences.remember(self._log, self.positions[0])
        return TransitionBatch(triggers, deliveries, positions)

    def _wait(self) -> None:
        """Wait up to a tick for a transition that views show."""
        until = time.monotonic() + TICK
        if self._log.wait(topics.SEGMENTS, self.positions, TICK):
            while time.monotonic() < until and all(map(int.__ge__, self.positions, self._shown())):
                time.sleep(_NOT_SHOWN_SECONDS)

    def _plan(self, transitions: Iterable[Transition], triggers: Mapping[str, Trigger]) -> list[Delivery]:
        wanted = [
            (transition, trigger)
            for transition in transitions
            for trigger in triggers.values()
            if _wants(trigger, transition) and delivery_id(trigger.id, transition.id) not in self._known
        ]
        if not wanted:
            return []
        profiles = list({int(transition.profile, 16) for transition, _ in wanted})
        identities = self._identities_of(profiles)
        allowing = self._allowing(wanted)
        now = self._clock()
        planned: list[Delivery] = []
        for transition, trigger in wanted:
            profile = int(transition.profile, 16)
            delivery = schedule(transition, trigger.id, identities.get(profile, ()), now)
            if trigger.purpose is None or delivery.is_of_erasure:
                planned.append(delivery)
                continue
            if profile not in allowing[trigger.purpose]:
                delivery = refused(delivery, trigger.purpose, now)
            planned.append(delivery)
        return planned

    def _allowing(self, wanted: Sequence[tuple[Transition, Trigger]]) -> dict[str, Set[int]]:
        """The profiles that allow it, by purpose."""
        asked: dict[str, set[int]] = {}
        for transition, trigger in wanted:
            if trigger.purpose is not None:
                asked.setdefault(trigger.purpose, set()).add(int(transition.profile, 16))
        return {purpose: self._who_allows(purpose, sorted(profiles)) for purpose, profiles in asked.items()}

    def _append(self, deliveries: list[Delivery]) -> list[Delivery]:
        if not deliveries:
            return []
        positions = self._log.append(topics.DELIVERIES, [to_record(delivery) for delivery in deliveries])
        self._reached("scheduled")
        return [replace(delivery, ver=offset) for delivery, (_, offset) in zip(deliveries, positions, strict=True)]


def _wants(trigger: Trigger, transition: Transition) -> bool:
    return (
        trigger.enabled
        and trigger.segment == transition.segment
        and transition.kind in trigger.on
        and transition.cause in trigger.causes
    )
