"""The segments that the demo declares: plain JSON, as posted to `/v1/segments`."""

from typing import Any, Final

SEGMENTS: Final[tuple[dict[str, Any], ...]] = (
    {
        "id": "repeat-buyers",
        "name": "Bought at least twice in 90 days",
        "rule": {"event": "order.completed", "count": {"gte": 2}, "within": "90d"},
    },
    {
        "id": "big-spenders",
        "name": "Spent £2,000 or more in a year",
        "rule": {"event": "order.completed", "sum": {"gte": 2000}, "of": "revenue", "within": "365d"},
    },
    {
        "id": "lapsed",
        "name": "Last bought 90 days ago or longer",
        "rule": {"event": "order.completed", "days_since_last": {"gte": 90}},
    },
    {
        "id": "window-shoppers",
        "name": "Looked at three products in 30 days and bought none",
        "rule": {
            "all": [
                {"event": "product.viewed", "count": {"gte": 3}, "within": "30d"},
                {"not": {"event": "order.completed", "count": {"gte": 1}, "within": "30d"}},
            ]
        },
    },
    {
        "id": "email-engaged",
        "name": "Opened at least two emails in 60 days",
        "rule": {"event": "email.opened", "count": {"gte": 2}, "within": "60d"},
    },
    {
        "id": "unhappy",
        "name": "Opened a ticket or would not recommend us in 90 days",
        "rule": {
            "any": [
                {"event": "ticket.opened", "within": "90d"},
                {"event": "survey.answered", "where": [{"property": "score", "lte": 6}], "within": "90d"},
            ]
        },
    },
    {
        "id": "vip",
        "name": "Repeat buyers and big spenders who read our emails",
        "rule": {"all": [{"segment": "repeat-buyers"}, {"segment": "big-spenders"}, {"segment": "email-engaged"}]},
    },
)
"""In the order in which they can be declared: a nested segment after those that it names."""
