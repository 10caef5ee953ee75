"""Reading partitions side by side: a batch has the records of all of them up to one moment of the log.

Links are decided in the order of receipt. A batch is sorted by it; a link in a later batch than one received after it
makes identity decide again. So when a backlog is read in pieces, no partition is read further than the others: the
piece that ends first decides up to when. Records are appended roughly in the order of receipt.
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
    """The pieces up to the moment at which the first incomplete one ends. Never empty if there are records."""
    ends = [records[-1].appended_at for records, more in pieces if more]
    whole = [record for records, _ in pieces for record in records]
    if not ends or len(pieces) == 1:
        return whole
    until = min(ends)
    cut = [record for records, _ in pieces for record in records[: bisect_right(records, until, key=_AT)]]
    return cut or whole  # a clock that was set back
