"""A cache that costs one look-up: what was asked for lately, within bounds."""

from typing import Final, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Keeps at least the `size // 2` and at most the `size` values that were put or found last.

    Two generations: the younger fills up, becomes the older, and what is found in the older moves to the
    younger. An `lru_cache` moves links at every hit, which with many keys takes longer than what it saves.
    May be used from any thread.
    """

    def __init__(self, size: int) -> None:
        self._half: Final = size // 2
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        found = self._young.get(key)
        if found is None and (found := self._old.get(key)) is not None:
            self.put(key, found)
        return found

    def put(self, key: K, value: V) -> None:
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        self._young[key] = value

    def clear(self) -> None:
        self._old, self._young = {}, {}
