"""Orders as documents: the event types that tell of one, and which order each is about.

An order is placed by one event and changed by others, which name it by its number. What counts: `docs/orders.md`.
"""

from typing import Final

PLACED: Final = "order.completed"
UPDATED: Final = "order.updated"
REFUNDED: Final = "order.refunded"
CANCELLED: Final = "order.cancelled"

TYPES: Final = frozenset({PLACED, UPDATED, REFUNDED, CANCELLED})
CHANGES: Final = TYPES - {PLACED}
NUMBER: Final = "order_id"
