"""Declarations and time on a cluster: touches in simorgh.touched make holders look at profiles."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

from eventlog.port import EventLog, Message
from schemas import topics
from segments.sql import Page
from stream_processors.checkpoints import Checkpoint
from stream_processors.flow.declarations import Answer, Passed
from stream_processors.flow.profiles import GROUP as PROFILES_GROUP
from stream_processors.state import cold, touches
from stream_processors.state.touches import Touch
from warehouse.client import Writer

_CHUNK: Final = 5_000


class Owners:
    """`flow.declarations.Effects` by touches. For the identity stage's thread."""

    def __init__(
        self, log: EventLog, writer: Writer, identity_position: Callable[[], int], checkpoint: Checkpoint
    ) -> None:
        """`identity_position`: the next offset of simorgh.identity; all before it is folded, written, touched."""
        self._log = log
        self._writer = writer
        self._identity_position = identity_position
        self._checkpoint = checkpoint

    def order(self, orders: Sequence[Message]) -> Passed:
        if orders:
            self._log.append(topics.IDENTITY, orders)
        self._checkpoint("ordered")
        return self._seen_to()

    def fill(self, page: Page, answer: Answer, causes: Mapping[str, str], due: Mapping[int, int]) -> None:
        """Holders find out by themselves which profiles enter or leave, and when one is due."""
        before = cold.members(self._writer, answer, page)
        for segment, members in answer.items():
            self._touch(before.get(segment, {}).keys() ^ set(members), causes[segment])
        self._touch(due, touches.TIME)
        self._checkpoint("filled")

    def look(self, profiles: Collection[int], cause: str) -> Passed:
        self._touch(profiles, cause)
        return self._touched_seen_to()

    def filled(self) -> Passed:
        return self._seen_to()

    def in_effect(self, position: int) -> None:
        self._log.commit(topics.PROJECTIONS, {topics.REGISTRY: {0: position}})
        self._checkpoint("declared")

    def _touch(self, profiles: Iterable[int], cause: str) -> None:
        wanted = sorted(profiles)
        for start in range(0, len(wanted), _CHUNK):
            chunk = wanted[start : start + _CHUNK]
            self._log.append(topics.TOUCHED, [touches.message(Touch(profile, cause)) for profile in chunk])

    def _seen_to(self) -> Passed:
        """Identity, and then the holders of profiles, have processed everything that is in their topics now."""
        end = self._log.ends(topics.IDENTITY)[0]
        then: list[Passed] = []

        def passed() -> bool:
            if not then and self._identity_position() >= end:
                then.append(self._touched_seen_to())
            return bool(then) and then[0]()

        return passed

    def _touched_seen_to(self) -> Passed:
        ends = self._log.ends(topics.TOUCHED)

        def passed() -> bool:
            committed = self._log.committed(PROFILES_GROUP, topics.TOUCHED)
            return all(done >= end for done, end in zip(committed, ends, strict=True))

        return passed
