"""A seeded workload: what a shop's web, app and till would send, as SDK messages."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

EVENTS = (
    ("Product Viewed", 40),
    ("page", 25),
    ("Product Added", 10),
    ("identify", 7),
    ("Products Searched", 6),
    ("Order Completed", 5),
    ("Checkout Started", 4),
    ("Email Opened", 2),
    ("Order Refunded", 1),
)


def messages(count: int, people: int, seed: int = 1, now_ms: int = 1_790_000_000_000) -> Iterator[dict[str, Any]]:
    """`count` messages of `people` people over the last 60 days, most of them recent; the same for the same seed."""
    chance = random.Random(seed)
    names = [name for name, weight in EVENTS for _ in range(weight)]
    for n in range(count):
        person = int(people * chance.random() ** 1.5)
        yield _message(chance.choice(names), person, n, now_ms - int(chance.random() ** 3 * 60 * 86_400_000), chance)


def _message(name: str, person: int, n: int, time_ms: int, chance: random.Random) -> dict[str, Any]:
    stamp = datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    message: dict[str, Any] = {
        "messageId": f"00000000-0000-4000-8000-{n:012d}",
        "timestamp": stamp,
        "context": {
            "library": {"name": "analytics.js", "version": "3.1.0"},
            "page": {"url": "https://shop.example/p/1", "path": "/p/1", "title": "A product"},
            "userAgent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0",
            "locale": "en-GB",
        },
    }
    known = chance.random() < 0.7
    if known:
        message["userId"] = f"user-{person}"
    if not known or chance.random() < 0.5:
        message["anonymousId"] = f"anon-{person}-{chance.randrange(2)}"
    if name == "page":
        return {**message, "type": "page", "properties": {"url": "https://shop.example/", "title": "Home"}}
    if name == "identify":
        traits = {"email": f"p{person}@example.com", "plan": chance.choice(("free", "pro")), "country": "DE"}
        return {**message, "type": "identify", "userId": f"user-{person}", "traits": traits}
    return {**message, "type": "track", "event": name, "properties": _properties(name, n, chance)}


def _properties(name: str, n: int, chance: random.Random) -> dict[str, Any]:
    product = {"product_id": f"p{chance.randrange(500)}", "category": chance.choice(("tea", "mugs", "bags"))}
    price = chance.randrange(100, 9000) / 100
    if name.startswith("Order"):
        return {
            "order_id": f"o{n}",
            "revenue": price,
            "currency": "EUR",
            "products": [{**product, "price": price}],
        }
    if name == "Products Searched":
        return {"query": "mug"}
    return {**product, "price": price, "currency": "EUR"}


def segments(count: int) -> dict[str, dict[str, Any]]:
    """`count` rules of the kinds that marketers write, each a little different."""
    kinds = ("order.completed", "product.viewed", "product.added", "page.viewed", "checkout.started")
    rules: dict[str, dict[str, Any]] = {}
    for n in range(count):
        kind = kinds[n % len(kinds)]
        shapes: tuple[dict[str, Any], ...] = (
            {"event": kind, "count": {"gte": 2 + n // 5}, "within": f"{7 + n}d"},
            {"all": [{"event": "order.completed", "where": [{"property": "revenue", "gte": 20 + n}],
                      "count": {"gte": 1}, "within": "30d"}, {"trait": "country", "in": ["DE", "IR"]}]},
            {"event": "order.completed", "sum": {"gte": 50 + n}, "of": "revenue", "within": "30d"},
            {"all": [{"event": kind, "count": {"gte": 3}}, {"not": {"event": "order.refunded"}}]},
            {"any": [{"trait": "plan", "eq": "pro"}, {"event": kind, "days_since_last": {"lte": 14 + n}}]},
        )  # fmt: skip
        rules[f"segment-{n}"] = shapes[(n // len(kinds) + n) % len(shapes)]
    return rules
