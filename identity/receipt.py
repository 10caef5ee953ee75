"""The order of links: the order of their receipt.

Links reach simorgh.identity in another order than the door received them, since partitions are read one after the
other, and a backlog is read late. Each link record therefore says when it was received, and its links are decided in
that order.
"""

from typing import Final, NamedTuple, Self

from schemas.errors import Broken
from schemas.order import KEY_BITS, MOMENT_BITS, MOST_PLACE
from schemas.records import Link

_DIGITS: Final = 16
_LEFT_OUT: Final = KEY_BITS - 4 * _DIGITS
_new: Final = tuple.__new__  # once for each link: a quarter of the time of a call
_MOST_MOMENT: Final = (1 << MOMENT_BITS) - 1


class Receipt(NamedTuple):
    """When the event of a link was received; the earlier of two is the smaller.

    `at`: ms. `place`: within its request, whose events share one receipt. `key`: the first 64 bits of the event's key,
    which decide between two requests of one millisecond.
    """

    at: int
    place: int = 0
    key: int = 0

    @classmethod
    def of(cls, link: Link) -> Self:
        """The receipt of a link record. Raises Broken for a malformed record."""
        at, place = link.received_at, link.place or 0
        try:
            receipt = _new(cls, (at, place, int(link.key[:_DIGITS] or "0", 16)))
        except ValueError:
            raise Broken("link record, key: wanted 32 hex digits, got another value; look at what wrote it") from None
        if 0 <= at <= _MOST_MOMENT and 0 <= place <= MOST_PLACE:
            return receipt
        raise Broken(
            "link record, received_at and place: wanted whole numbers from 0 up, got others; look at what wrote it"
        )

    @classmethod
    def event(cls, at: int, place: int, key: int) -> Self:
        """The receipt of an event. `key`: its whole key."""
        return _new(cls, (at, place, key >> _LEFT_OUT))


NEVER: Final = Receipt(-1)
"""Before every receipt."""
