"""A source's settings hold for what its vendor sends, as they do for everything else."""

from typing import Any

import orjson

from producers.door import Refused
from producers.vendor_message import VendorMessage
from producers.vendors.catalogue import CONNECTORS
from producers.vendors.request import Headers, VendorRequest
from registry.models import Hearing, Source
from schemas.catalog import Catalog
from tests.vendors.fixtures import RECEIVED_AT, door

MAPPING = {
    "kind": "what",
    "otherwise": "{kind}",
    "id": ["{id}"],
    "time": {"path": "at"},
    "identifiers": [
        {"type": "user_id", "value": "customer", "trust": "proven"},
        {"type": "phone", "value": "mobile", "trust": "claimed"},
        {"type": "anonymous_id", "value": "cookie", "trust": "hint"},
    ],
    "properties": {"*": "bag"},
}
SALE = {
    "what": "Verkauf",
    "id": "1",
    "at": "2026-01-05 10:00",
    "customer": "u1",
    "mobile": "0912 123 4567",
    "cookie": "c-1",
    "bag": {"order_id": "o-1", "total": "20"},
}


def heard(item: dict[str, Any] = SALE, **settings: Any) -> dict[str, Any] | Refused:
    webhook = {"mapping": MAPPING, **settings.pop("webhook", {})}
    source = Source(id="till", vendor="generic", webhook=Hearing.model_validate(webhook), **settings)
    request = VendorRequest(
        "POST",
        Headers([("content-type", "application/json")]),
        orjson.dumps(item),
        RECEIVED_AT,
        zone=source.zone,
        settings=source.webhook.model_dump(exclude_none=True),
    )
    connector = CONNECTORS["generic"]
    message = VendorMessage(connector, source, request, links_hints=source.webhook.hints == "link")
    [one] = connector.items_of(request)
    [verdict] = message.verdicts(door(), Catalog.load(), one, 0)
    return verdict if isinstance(verdict, Refused) else dict(orjson.loads(verdict[1]))


def told(**settings: Any) -> dict[str, Any]:
    found = heard(**settings)
    assert not isinstance(found, Refused), found
    return found


def identifiers(event: dict[str, Any]) -> list[tuple[str, str, str | None]]:
    return [(one["type"], one["normalised"], one.get("trust")) for one in event["identifiers"]]


def test_aliases_are_of_the_vendors_own_words() -> None:
    assert told()["type"] == "custom.verkauf"
    event = told(aliases={"verkauf": "order.completed"}, currency="EUR")
    assert (event["type"], event["name"]) == ("order.completed", "Verkauf")
    assert event["money"] == {"amount": "20", "currency": "EUR"}


def test_zone_region_channel_and_book() -> None:
    settings = {"time_zone": "Asia/Tehran", "region": "IR", "channel": "pos", "book": "shops"}
    event = told(**settings, aliases={"Verkauf": "order.completed"})
    assert event["time"] == "2026-01-05T06:30:00.000Z"
    assert ("phone", "+989121234567", "hint") in identifiers(event)
    assert event["channel"] == "pos"
    assert (event["business"]["book"], event["business"]["rank"]) == ("shops", 10)


def test_strictness() -> None:
    unplanned = heard(unplanned="reject")
    assert isinstance(unplanned, Refused)
    assert unplanned.code == "unplanned_event"
    wrong = {**SALE, "bag": {"total": [1]}}
    assert told(item=wrong, aliases={"Verkauf": "order.completed"})["flags"]
    strict = heard(item=wrong, aliases={"Verkauf": "order.completed"}, schema_faults="reject")
    assert isinstance(strict, Refused)
    assert strict.code == "schema_violation"


def test_hints_link_only_where_the_source_says_so() -> None:
    kept = identifiers(told(region="IR"))
    assert [trust for *_, trust in kept] == [None, "hint", "hint"]
    linked = identifiers(told(region="IR", webhook={"hints": "link"}))
    assert [trust for *_, trust in linked] == [None, None, None]


def test_who_only_claims_stands_for_somebody_and_joins_nobody() -> None:
    without = {name: value for name, value in SALE.items() if name != "customer"}
    assert [(type, trust) for type, _, trust in identifiers(told(item=without, region="IR"))] == [
        ("phone", None),
        ("anonymous_id", "hint"),
    ]


def test_an_event_is_measured_and_not_the_message_around_it() -> None:
    large = {**SALE, "noise": "x" * 100_000}
    assert told(item=large)["properties"] == SALE["bag"]
    refused = heard(item={**SALE, "bag": {"text": "x" * 100_000}})
    assert isinstance(refused, Refused)
    assert refused.code == "event_too_large"


def test_what_is_refused_has_one_id_whenever_it_comes() -> None:
    first, again = (heard(item={"what": "Verkauf", "id": None}) for _ in range(2))
    assert isinstance(first, Refused)
    assert isinstance(again, Refused)
    assert (first.code, first.id) == ("unmappable", again.id)
    assert first.message is not None
    kept = orjson.loads(first.message[1])
    assert kept["webhook"] == {"vendor": "generic", "whole": False, "headers": {}}
    assert orjson.loads(kept["payload"]) == {"what": "Verkauf", "id": None}
