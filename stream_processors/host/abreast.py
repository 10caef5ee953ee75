"""Reading partitions abreast: a batch holds what all of them have up to one moment of the log.

Links are decided in the order of receipt. Within a batch that order is made; a link that comes in a later batch than
one received after it makes identity go back. So where a backlog is read in pieces, no partition is read further than
the others: the piece that ends first says up to when. Records are appended about as they are received.
"""

from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter
from typing import Final

from eventlog.port import Record

Piece = tuple[list[Record], bool]
"""Records of one partition, in order, and whether it has more."""

_AT: Final = attrgetter("appended_at")


def abreast(pieces: Sequence[Piece]) -> list[Record]:
    """The pieces up to the moment at which the first of those that go on ends. Never nothing of something."""
    ends = [records[-1].appended_at for records, more in pieces if more]
    whole = [record for records, _ in pieces for record in records]
    if not ends or len(pieces) == 1:
        return whole
    until = min(ends)
    cut = [record for records, _ in pieces for record in records[: bisect_right(records, until, key=_AT)]]
    return cut or whole  # a clock that was set back
