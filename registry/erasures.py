"""Who asked to be forgotten, and how far that is: the fold of three kinds of records of simorgh.registry.

`erase` is the request, `erased` says which nodes were the person's at that moment, `erasure` how far it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

ERASE: Final = "erase"
ERASED: Final = "erased"
ERASURE: Final = "erasure"
KINDS: Final = (ERASE, ERASED, ERASURE)

State = Literal["requested", "unreadable", "destroyed", "nobody"]
"""`unreadable`: no process opens it, and no answer shows it. `destroyed`: the bytes are gone, too. `nobody`: there was
no such profile any more."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """One request. Times are ms; `nodes` are hex."""

    id: str
    offset: int
    """Of the request in simorgh.registry."""
    profile: str
    """A node of the profile, in hex."""
    reason: str
    by: str
    requested_at: int
    state: State = "requested"
    nodes: tuple[str, ...] = ()
    unreadable_at: int | None = None
    destroyed_at: int | None = None


class Erasures:
    """All requests, by id. One thread folds, any may read."""

    def __init__(self) -> None:
        self.requests: dict[str, Erasure] = {}
        self.unfinished: dict[str, Erasure] = {}
        """Those that are neither destroyed nor about nobody."""
        self.nodes: set[int] = set()
        """The nodes of everybody who was forgotten."""

    def fold(self, offset: int, kind: str, id: str, body: Mapping[str, Any], at: int, by: str) -> None:
        """Take in a record of one of `KINDS`. Raises `ValueError`, `TypeError` or `LookupError` for one that does not
        fit."""
        if kind == ERASE:
            if id not in self.requests:
                self._put(Erasure(id, offset, str(body["profile"]), str(body.get("reason", "")), by, at))
            return
        known = self.requests[id]
        if kind == ERASED:
            nodes = tuple(str(node) for node in body["nodes"])
            self.nodes.update(int(node, 16) for node in nodes)
            self._put(replace(known, nodes=nodes))
        elif body["state"] == "unreadable":
            self._put(replace(known, state="unreadable", unreadable_at=at))
        elif body["state"] == "destroyed":
            self._put(replace(known, state="destroyed", destroyed_at=at))
        elif body["state"] == "nobody":
            self._put(replace(known, state="nobody"))

    def _put(self, request: Erasure) -> None:
        self.requests[request.id] = request
        if request.state in ("requested", "unreadable"):
            self.unfinished[request.id] = request
        else:
            self.unfinished.pop(request.id, None)
