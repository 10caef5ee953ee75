"""A bounded cache of recent values that costs one look-up."""

from collections.abc import Collection
from typing import Final, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(dict[K, V | None]):
    """Keeps at least the `size // 2` and at most the `size` values that were put or found last.

    There are two halves: the younger one, which is this dict, fills up and becomes the older; a value found in the
    older moves to the younger. An `lru_cache` moves links at every hit, which with many keys takes longer than it
    saves. `recent[key]` is None for a missing key. May be used from any thread.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self._half: Final = size // 2
        self._old: dict[K, V | None] = {}

    def __missing__(self, key: K) -> V | None:
        found = self._old.get(key)
        if found is not None:
            self.put(key, found)
        return found

    def put(self, key: K, value: V) -> None:
        if len(self) >= self._half:
            self._old = dict(self)
            super().clear()
        self[key] = value

    def drop(self, keys: Collection[K]) -> None:
        for key in keys:
            self.pop(key, None)
            self._old.pop(key, None)

    def clear(self) -> None:
        super().clear()
        self._old = {}
