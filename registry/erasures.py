"""Who asked to be forgotten or for their data, and how far that is: the fold of six kinds of records of
simorgh.registry.

`erase` is the request, `erased` says which nodes were the person's at that moment, `erasure` how far it is, and
`returning` what becomes of whoever comes back, from then on. `asked` is a request that a person of the company
sees to, and `answered` says that it is done.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

ERASE: Final = "erase"
ERASED: Final = "erased"
ERASURE: Final = "erasure"
RETURNING: Final = "returning"
ASKED: Final = "asked"
ANSWERED: Final = "answered"
KINDS: Final = (ERASE, ERASED, ERASURE, RETURNING, ASKED, ANSWERED)

Subject = Literal["erasure", "access", "shop_erasure"]
"""`access`: somebody wants to see their data. `shop_erasure`: a shop has left its vendor, and its customers' data is to
go. Both are seen to by hand."""

Returning = Literal["refuse", "start_anew"]
"""What becomes of later events that name one of the identities: they are refused, or are somebody new's."""

REFUSE: Final[Returning] = "refuse"
START_ANEW: Final[Returning] = "start_anew"

State = Literal["requested", "unreadable", "destroyed", "nobody", "answered"]
"""`unreadable`: no process opens it, and no answer shows it. `destroyed`: the bytes are gone, too. `nobody`: there was
no such profile any more. `answered`: somebody has seen to it."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """One request. Times are ms; `nodes` are hex."""

    id: str
    offset: int
    """Of the request in simorgh.registry."""
    profile: str
    """A node of the profile, in hex; "" where nobody is named."""
    reason: str
    by: str
    requested_at: int
    state: State = "requested"
    nodes: tuple[str, ...] = ()
    unreadable_at: int | None = None
    destroyed_at: int | None = None
    type: Subject = "erasure"
    returning: Returning = REFUSE


class Erasures:
    """All requests, by id. One thread folds, any may read."""

    def __init__(self) -> None:
        self.requests: dict[str, Erasure] = {}
        self.unfinished: dict[str, Erasure] = {}
        """Those that are neither destroyed nor about nobody."""
        self.nodes: set[int] = set()
        """The nodes of everybody who was forgotten."""
        self.returning: set[int] = set()
        """Those of them who may come back, as somebody new. Another set where some of them no longer may."""

    def fold(self, offset: int, kind: str, id: str, body: Mapping[str, Any], at: int, by: str) -> None:
        """Take in a record of one of `KINDS`. Raises `ValueError`, `TypeError` or `LookupError` for one that does not
        fit."""
        if kind == ERASE:
            if id not in self.requests:
                returning: Returning = START_ANEW if body.get("returning") == START_ANEW else REFUSE
                profile, reason = str(body["profile"]), str(body.get("reason", ""))
                self._put(Erasure(id, offset, profile, reason, by, at, returning=returning))
            return
        if kind == ASKED:
            if id not in self.requests:
                subject: Subject = "access" if body["type"] == "access" else "shop_erasure"
                profile = str(body.get("profile", ""))
                self._put(Erasure(id, offset, profile, str(body.get("reason", "")), by, at, type=subject))
            return
        known = self.requests[id]
        if kind == ANSWERED:
            if known.type != "erasure":
                self._put(replace(known, state="answered"))
            return
        if kind == RETURNING:
            self._decide(known, START_ANEW if body["returning"] == START_ANEW else REFUSE)
            return
        if kind == ERASED:
            nodes = tuple(str(node) for node in body["nodes"])
            if known.returning == START_ANEW:  # first: whoever finds a node among the forgotten looks here
                self.returning.update(int(node, 16) for node in nodes)
            self.nodes.update(int(node, 16) for node in nodes)
            self._put(replace(known, nodes=nodes))
        elif body["state"] == "unreadable":
            self._put(replace(known, state="unreadable", unreadable_at=at))
        elif body["state"] == "destroyed":
            self._put(replace(known, state="destroyed", destroyed_at=at))
        elif body["state"] == "nobody":
            self._put(replace(known, state="nobody"))

    def _decide(self, known: Erasure, returning: Returning) -> None:
        """What becomes of whoever comes back from now on: events that are in the log stay as they are."""
        if known.type == "erasure" and known.returning != returning:
            self._put(replace(known, returning=returning))
            self.returning = {
                int(node, 16) for one in self.requests.values() if one.returning == START_ANEW for node in one.nodes
            }

    def _put(self, request: Erasure) -> None:
        self.requests[request.id] = request
        if request.type == "erasure" and request.state in ("requested", "unreadable"):
            self.unfinished[request.id] = request
        else:
            self.unfinished.pop(request.id, None)
