"""Orders as documents: the event types that tell of one, and which order each is about.

An order is placed by one event and changed by others, which name it by its number. What counts: `docs/orders.md`.
"""

from typing import Final

PLACED: Final = "order.completed"
UPDATED: Final = "order.updated"
REFUNDED: Final = "order.refunded"
CANCELLED: Final = "order.cancelled"
CONTINUED: Final = "order.continued"
"""The products of an order that did not fit into its event."""

TYPES: Final = frozenset({PLACED, UPDATED, REFUNDED, CANCELLED})
CHANGES: Final = TYPES - {PLACED}
NAMING: Final = CHANGES | {CONTINUED}
"""The types that name an order which another event places."""
NUMBER: Final = "order_id"
