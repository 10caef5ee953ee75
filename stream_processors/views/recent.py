"""Views in memory: the projections show profiles here before their rows are in the warehouse, and for a while after.

Rows take a second to reach the warehouse, since a part is expensive whatever its size. A receiver that is called about
a change, and reads the profile at once, must see it. Also, most reads are of active profiles, and need no query. One
thread shows, any thread reads: each method is a few steps on plain dicts, each of which is atomic.
"""

from collections.abc import Mapping
from itertools import islice
from typing import Final, NamedTuple, TypeVar

MOST_VIEWS: Final = 20_000
"""Kept after their rows have landed, about 2 KB each; and three times as many nodes."""

T = TypeVar("T")


class View(NamedTuple):
    """A row of `views`, for a profile that is live, or was. `text` is JSON, see `rows.profiles.view_text`."""

    ver: int
    live: bool
    text: str
    memberships: list[tuple[str, int]]
    """Segment and, in ms, since when."""


class _Layer:
    def __init__(self) -> None:
        self.owners: dict[int, int] = {}
        self.views: dict[int, View] = {}

    def update(self, other: "_Layer") -> None:
        self.owners.update(other.owners)
        self.views.update(other.views)


class RecentViews:
    """Three layers, the newest first: rows not yet sent to the warehouse, rows being written, and rows that are
    there."""

    def __init__(self, most: int = MOST_VIEWS) -> None:
        self._most = most
        self._gathered, self._landing, self._kept = _Layer(), _Layer(), _Layer()
        self.position = 0
        """The offset of simorgh.segments up to which views show transitions."""

    # ---- the thread that shows

    def show(self, owners: Mapping[int, int], views: Mapping[int, View]) -> None:
        """`owners`: node -> its profile now, 0 for nobody."""
        self._gathered.views.update(views)
        self._gathered.owners.update(owners)

    def landing(self) -> None:
        """All shown rows are being written now, perhaps with earlier ones."""
        self._landing.update(self._gathered)
        self._gathered = _Layer()

    def landed(self) -> None:
        """All rows that were being written are in the warehouse."""
        landed, kept = self._landing, self._kept
        _renew(kept.views, landed.views, self._most)
        _renew(kept.owners, landed.owners, 3 * self._most)
        self._landing = _Layer()

    def forget(self, *, owners: bool) -> None:
        """All shown views are in the warehouse; `owners`: and the profiles of nodes too."""
        kept = _Layer()
        if not owners:
            for layer in (self._kept, self._landing, self._gathered):
                kept.owners.update(layer.owners)
        self._gathered, self._landing, self._kept = _Layer(), _Layer(), kept

    @property
    def sizes(self) -> tuple[int, int, int]:
        """The number of views in each layer, the newest first."""
        return len(self._gathered.views), len(self._landing.views), len(self._kept.views)

    # ---- any thread

    def owner(self, node: int) -> int | None:
        """The profile of a node, 0 for nobody; None if only the warehouse knows it."""
        return _newest(node, self._gathered.owners, self._landing.owners, self._kept.owners)

    def view(self, profile: int) -> View | None:
        return _newest(profile, self._gathered.views, self._landing.views, self._kept.views)


def _newest(key: int, *layers: Mapping[int, T]) -> T | None:
    """From the first layer that has it. A value is added to the next layer before it leaves its own, so a concurrent
    reader, newest layer first, finds it."""
    for layer in layers:
        found = layer.get(key)
        if found is not None:
            return found
    return None


def _renew(kept: dict[int, T], landed: Mapping[int, T], most: int) -> None:
    """Move landed rows to the end, and drop the oldest beyond the bound."""
    for key, value in landed.items():
        kept.pop(key, None)
        kept[key] = value
    for oldest in list(islice(kept, max(0, len(kept) - most))):  # one by one, each would be looked for from the front
        del kept[oldest]
