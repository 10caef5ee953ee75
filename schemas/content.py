"""The content of an event, as whoever sends it again can say whether it is still the same."""

import json
from collections.abc import Mapping
from hashlib import blake2b


def content_digest(time: str | None, properties: Mapping[str, object]) -> str:
    """32 hex digits. `time`: as claimed, in ISO 8601 with ms; None: none. `properties`: as sent. Not of identifiers: in
    the log they are sealed apart from the event."""
    return blake2b(json.dumps([time, properties], sort_keys=True).encode(), digest_size=16).hexdigest()
