"""The log's topics: the one list of their names (part of the public contract)."""

from typing import Final

EVENTS: Final = "simorgh.events"
"""Customers' events. Key: `key` of the envelope, as 32 hex digits. Value: the envelope (`schemas.envelope`)."""

IDENTITY: Final = "simorgh.identity"
"""Links, merges, splits, rules. One partition: one total order per workspace, kept forever and never derived again."""

TOUCHED: Final = "simorgh.touched"
"""Profiles to evaluate. Key: profile. Passed between processes, and from a replay to the process that continues."""

SEGMENTS: Final = "simorgh.segments"
"""Published transitions. Key: profile."""

REJECTED: Final = "simorgh.rejected"
"""Refused events, with reason and original bytes. Key: rejected id."""

REGISTRY: Final = "simorgh.registry"
"""Declarations and stewards' commands. One partition."""

DELIVERIES: Final = "simorgh.deliveries"
"""Webhook deliveries: scheduled, attempted, delivered, given up. One partition."""

ABOUT: Final = "simorgh.about"
"""The log's format, and facts that must never change. Key: name. One partition."""

AUDIT: Final = "simorgh.audit"
"""Who looked at what, and changed what: hash chains that are kept forever, and hold only ids. Key: chain. One
partition."""

KEYS: Final = "simorgh.keys"
"""On a cluster, the wrapped data keys: compacted, so that a destroyed key leaves it (`privacy.topic`). Its offsets have
gaps, so it is not one of the log's topics."""

SINGLE_PARTITION: Final = frozenset({IDENTITY, REGISTRY, DELIVERIES, REJECTED, SEGMENTS, ABOUT, AUDIT})
"""Topics with one partition on one machine; the others have `partitions`."""

ALL: Final = (EVENTS, IDENTITY, TOUCHED, SEGMENTS, REJECTED, REGISTRY, DELIVERIES, ABOUT, AUDIT)

PROJECTIONS: Final = "projections"
"""A consumer group: of all stages that run together on one machine, and of the declarations everywhere."""
