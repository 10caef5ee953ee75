"""Reading partitions side by side: a batch has the records of all of them up to one moment of receipt.

Links are decided in the order of receipt. A batch is sorted by it; a link in a later batch than one received after it
makes identity decide again. So when a backlog is read in pieces, no partition is read further than the others: the
piece that ends first decides up to when. The moment is when the door received an event, not when the log appended it: a
log that was copied or restored keeps only the first.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

import msgspec

from eventlog.port import Record
from schemas.clock import iso

Piece = tuple[list[Record], bool]
"""Records of one partition, in order, and whether it has more."""


class _Received(msgspec.Struct, gc=False):
    received_at: str


_decode: Final = msgspec.json.Decoder(_Received).decode


def abreast(pieces: Sequence[Piece]) -> list[Record]:
    """The pieces up to the moment at which the first incomplete one ends. Never empty if there are records."""
    whole = [record for records, _ in pieces for record in records]
    if len(pieces) == 1 or not any(more for _, more in pieces):
        return whole
    until = min(_moment(records[-1]) for records, more in pieces if more)
    # about in order, which is enough: how a backlog is cut changes how much work it makes, and nothing else
    cut = [record for records, _ in pieces for record in records[: bisect_right(records, until, key=_moment)]]
    return cut or whole


def _moment(record: Record) -> str:
    """When it was received; of what cannot be read, when it was appended."""
    try:
        return _decode(record.value).received_at
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return iso(record.appended_at)
