"""Every place within a JSON value, and the value with something else there."""

from typing import Any


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything within `value`, itself included."""
    found = [path]
    if isinstance(value, dict):
        found += [inner for key, child in value.items() for inner in places(child, (*path, key))]
    if isinstance(value, list):
        found += [inner for index, child in enumerate(value) for inner in places(child, (*path, index))]
    return found


def replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    """A copy of `value` with `by` at the place."""
    if not path:
        return by
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], by)
    return copy
