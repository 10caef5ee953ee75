"""An SDK for Python sends one call of each kind. Arguments: base URL, write key, the SDK's package ("segment" or
"rudderstack", whose SDK is a copy of Segment's), "gzip" or "plain"."""

import sys
from datetime import UTC, datetime
from importlib import import_module

url, key, package, encoding = sys.argv[1:]
errors: list[str] = []
client = import_module(f"{package}.analytics.client").Client(
    key,
    host=url,
    gzip=encoding == "gzip",
    max_retries=4,
    on_error=lambda error, items: errors.append(f"{error} ({len(items)} events)"),
)
chosen = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
client.identify("user-1", {"email": "Ada@Example.com", "city": "اصفهان"}, anonymous_id="anon-1")
client.track("user-1", "Order Completed", {"order_id": "o-1", "total": 42.5, "currency": "EUR"}, timestamp=chosen)
client.page("user-1", "Docs", "Home", {"url": "https://example.com/"})
client.screen("user-1", None, "Settings", {"dark": True})
client.group("user-1", "org-9", {"name": "ACME"})
client.alias("anon-0", "user-1")
client.track(None, "Anonymous Event", {"k": 1}, anonymous_id="anon-2")
client.flush()
client.join()
sys.exit("; ".join(errors) or None)
