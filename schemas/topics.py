"""The log's topics: the one list of their names (part of the public contract)."""

from typing import Final

EVENTS: Final = "simorgh.events"
"""Customers' events. Key: `key` of the envelope, as 32 hex digits. Value: the envelope (`schemas.envelope`)."""

IDENTITY: Final = "simorgh.identity"
"""Links, merges, splits, rules. One partition: one total order per workspace, kept forever; it is truth."""

TOUCHED: Final = "simorgh.touched"
"""Profiles to evaluate, keyed by profile. Between processes, and from a replay to whoever goes on from it."""

SEGMENTS: Final = "simorgh.segments"
"""Transitions: the record of what was told. Key: profile."""

REJECTED: Final = "simorgh.rejected"
"""What failed, with reason and original bytes. Key: rejected id."""

REGISTRY: Final = "simorgh.registry"
"""Declarations and stewards' commands. One partition."""

DELIVERIES: Final = "simorgh.deliveries"
"""Webhook deliveries: scheduled, attempted, delivered, given up. One partition."""

ABOUT: Final = "simorgh.about"
"""What the log says about itself: its format, and what must never change beside it. Key: name. One partition."""

AUDIT: Final = "simorgh.audit"
"""Who looked at what, and changed what: hash chains that stay forever, and hold ids only. Key: chain. One partition."""

SINGLE_PARTITION: Final = frozenset({IDENTITY, REGISTRY, DELIVERIES, REJECTED, SEGMENTS, ABOUT, AUDIT})
"""Topics that have one partition on one machine; the others have `partitions` of them."""

ALL: Final = (EVENTS, IDENTITY, TOUCHED, SEGMENTS, REJECTED, REGISTRY, DELIVERIES, ABOUT, AUDIT)
