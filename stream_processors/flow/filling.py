"""The changes of segments that take effect together, and their progress."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from stream_processors.state.declared import EDITED, Change


@dataclass(frozen=True, slots=True)
class Filling:
    """`filled`: segment -> the cause of its transitions; `gone`: the segments whose members leave. Computed traits are
    among both, by their `unit`."""

    filled: dict[str, str] = field(default_factory=dict)
    gone: tuple[str, ...] = ()


def filling(changes: Iterable[Change], is_live: Callable[[str], bool]) -> Filling:
    """Combines all changes, with the segments that are live after them: each segment once, with the first cause."""
    filled: dict[str, str] = {}
    gone: dict[str, None] = {}
    for change in changes:
        for segment in change.filled:
            if is_live(segment):
                filled.setdefault(segment, change.cause or EDITED)
        gone |= dict.fromkeys(segment for segment in change.gone if not is_live(segment))
    return Filling(filled, tuple(gone))


class FillingProgress:
    """The progress of filling segments. One thread writes it, any thread reads it."""

    def __init__(self) -> None:
        self._now: tuple[frozenset[str], float] = frozenset(), 0.0

    def note(self, segments: Iterable[str], share: float) -> None:
        """For these segments, this share of all profiles is processed (0 to 1). No segments: none is being filled."""
        self._now = frozenset(segments), share

    def of(self, segment: str) -> float | None:
        """None if the segment is not being filled."""
        segments, share = self._now
        return share if segment in segments else None
