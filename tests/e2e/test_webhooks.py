"""Vendors' webhooks against a real server: declared and given secrets over the API and the command line, sent as the
vendor sends, seen on the profile; what nobody signed leaves no trace; what was not understood is retried."""

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from producers.vendors.signing import signature
from tests.e2e.command_line import simorgh
from tests.e2e.harness import Client, Server, running

SECRET = "a secret that Shopify signs with"
ORDER = {
    "id": 1001,
    "name": "#1",
    "created_at": "2026-01-05T10:00:00Z",
    "currency": "USD",
    "total_price": "600.00",
    "customer": {"id": 7, "email": "ana@example.com", "verified_email": True, "state": "enabled"},
    "line_items": [{"product_id": 2, "sku": "S", "title": "Cup", "quantity": 1, "price": "600.00"}],
}
MAPPING = {
    "kind": "status",
    "cases": {"10": "sms.delivered", "11": "sms.failed"},
    "id": ["{messageid}:{status}"],
    "identifiers": [{"type": "phone", "value": "receptor"}],
    "properties": {"message_id": "messageid"},
    "somebody": True,
}


@pytest.fixture(scope="module")
def it(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Client]]:
    with running(tmp_path_factory.mktemp("webhooks") / "data") as (server, client):
        client.post("/v1/sources", {"id": "store", "vendor": "shopify"})
        client.post("/v1/sources/store/secrets", {"secret": SECRET})
        client.post("/v1/sources", {"id": "sms", "vendor": "generic", "channel": "sms", "region": "IR"})
        client.post("/v1/sources/sms/secrets", {"secret": "the-path-is-long"})
        yield server, client


def shopify(
    client: Client, topic: str, body: bytes | dict[str, Any], *, secret: str = SECRET, **headers: str
) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    proof = signature(secret.encode(), content)
    given = {"X-Shopify-Topic": topic, "X-Shopify-Webhook-Id": "w-1", "X-Shopify-Hmac-Sha256": proof, **headers}
    return client.http.post("/v1/webhooks/shopify/store", content=content, headers={"authorization": "", **given})


def test_an_order_that_comes_three_times_counts_once(it: tuple[Server, Client]) -> None:
    _, client = it
    for _ in range(3):
        answer = shopify(client, "orders/create", ORDER)
        assert (answer.status_code, answer.json()) == (200, {"success": True})
    client.settled()
    seen = client.profile("shopify_customer:7")
    assert seen == client.profile("email:ana@example.com") | {"freshness": seen["freshness"]}
    assert (seen["metrics"]["orders"], seen["metrics"]["revenue"]) == (1, {"USD": 600.0})


def test_what_nobody_signed_is_kept_nowhere(it: tuple[Server, Client]) -> None:
    _, client = it
    before = client.settled()["events"]
    forged = [
        shopify(client, "orders/create", {**ORDER, "id": 2}, secret="a guess"),
        shopify(client, "orders/create", ORDER, **{"X-Shopify-Hmac-Sha256": ""}),
        client.http.post("/v1/webhooks/shopify/store", content=b"\xff" * 100),
        *(shopify(client, "orders/create", {**ORDER, "id": n}, secret=f"guess {n}") for n in range(50)),
    ]
    assert {(one.status_code, one.json()["code"]) for one in forged} == {(401, "unverified")}
    assert client.settled()["events"] == before
    counted = client.http.get("/metrics").text
    assert 'simorgh_collector_requests_refused_total{code="unverified",status="401"} 53.0' in counted
    for path in ("/v1/webhooks/nobody/store", "/v1/webhooks/stripe/store", "/v1/webhooks/shopify/nowhere"):
        assert client.http.post(path, json={}).status_code == 404
    assert client.http.get("/v1/webhooks/shopify/store").status_code == 405


def test_a_signed_body_that_cannot_be_understood_waits_for_its_mapping(it: tuple[Server, Client]) -> None:
    _, client = it
    form = {"messageid": "8", "status": "10", "receptor": "09121234567"}
    answer = client.http.post("/v1/webhooks/generic/sms?token=the-path-is-long", data=form)
    assert answer.status_code == 200
    [told] = answer.json()["rejected"]
    assert told["code"] == "unmappable"
    client.settled()
    [kept] = client.get("/v1/rejected", source="sms")["items"]
    assert kept["payload"] == "messageid=8&status=10&receptor=09121234567"
    settings = {"vendor": "generic", "channel": "sms", "region": "IR", "webhook": {"mapping": MAPPING}}
    assert client.http.put("/v1/sources/sms", json=settings).status_code == 200
    assert client.post(f"/v1/rejected/{kept['id']}/retry")["status"] == "accepted"
    assert client.http.post("/v1/webhooks/generic/sms?token=the-path-is-long", data=form).status_code == 200
    client.settled()
    [event] = client.get("/v1/profiles/phone:%2B989121234567/events")["items"]
    assert (event["type"], event["channel"]) == ("sms.delivered", "sms")
    assert client.get("/v1/rejected", source="sms")["items"] == []


def test_one_bad_item_of_a_thousand(it: tuple[Server, Client]) -> None:
    _, client = it
    before = client.settled()["events"]
    items: list[Any] = [{"messageid": 10_000 + n, "status": 10, "receptor": f"0912{n:07}"} for n in range(1000)]
    items[500] = {"messageid": 500}
    answer = client.http.post("/v1/webhooks/generic/sms?token=the-path-is-long", json=items)
    assert [one["index"] for one in answer.json()["rejected"]] == [500]
    after = client.settled()["events"]
    assert (after["unique"] - before["unique"], after["rejected"] - before["rejected"]) == (999, 1)


def test_secrets_are_sealed_listed_rotated_and_removed(it: tuple[Server, Client], tmp_path: Path) -> None:
    server, client = it
    data = ("--data", str(server.data))
    added = simorgh("sources", "secret", "rotate", "store", "the next secret of it", "--json", *data).json()
    listed = simorgh("sources", "secret", "list", "store", "--json", *data).json()["items"]
    assert [one["begins"] for one in listed] == ["a se…", "the …"]
    assert listed[0]["until"] is not None
    for secret in (SECRET, "the next secret of it"):
        assert shopify(client, "orders/create", ORDER, secret=secret).status_code == 200
    recorded = tmp_path / "recorded.json"
    body = json.dumps(ORDER)
    headers = {"X-Shopify-Topic": "orders/create", "X-Shopify-Hmac-Sha256": signature(SECRET.encode(), body.encode())}
    recorded.write_text(json.dumps({"headers": headers, "body": body}))
    told = simorgh("sources", "test", "store", str(recorded), "--json", *data).json()
    assert told["verified"] is True
    assert [event["type"] for event in told["events"]] == ["order.completed"]
    old = listed[0]["id"]
    assert simorgh("sources", "secret", "remove", "store", old, *data).code == 0
    assert shopify(client, "orders/create", ORDER).status_code == 401
    assert client.http.delete(f"/v1/sources/store/secrets/{added['id']}").status_code == 204
    assert client.post("/v1/sources/store/secrets", {"secret": SECRET})["begins"] == "a se…"
    assert "secrets" not in client.get("/v1/sources/store")
    written = b"".join(path.read_bytes() for path in server.data.rglob("*") if path.is_file())
    assert b"secret that Shopify signs" not in written


def test_a_person_who_asks_shopify_to_be_forgotten_is(it: tuple[Server, Client]) -> None:
    _, client = it
    customer = {"id": 70, "email": "bob@example.com"}
    order = {**ORDER, "id": 70, "customer": {**customer, "verified_email": True, "state": "enabled"}}
    assert shopify(client, "orders/create", order).status_code == 200
    client.settled()
    assert client.profile("email:bob@example.com")["metrics"]["orders"] == 1
    asked = {"shop_id": 1, "customer": customer, "orders_to_redact": [70]}
    for _ in range(2):
        assert shopify(client, "customers/redact", asked).status_code == 200
    assert shopify(client, "customers/data_request", {"shop_id": 1, "customer": {"id": 7}}).status_code == 200
    assert shopify(client, "shop/redact", {"shop_id": 1}).status_code == 200
    end = time.monotonic() + 30
    while client.http.get("/v1/profiles/email:bob@example.com").status_code != 404 and time.monotonic() < end:
        client.settled()
    assert client.http.get("/v1/profiles/email:bob@example.com").status_code == 404
    queue = client.get("/v1/privacy/requests")["items"]
    assert sorted(one["type"] for one in queue) == ["access", "erasure", "erasure", "shop_erasure"]
    [access] = [one for one in queue if one["type"] == "access"]
    assert access["state"] == "requested"
    assert client.post(f"/v1/privacy/requests/{access['id']}/answered")["state"] == "answered"


def test_vendors_shake_hands(it: tuple[Server, Client]) -> None:
    """What vendors send before they send events, and the answers that they want in a form of their own."""
    _, client = it
    for vendor in ("meta", "woocommerce", "mailchimp", "surveymonkey", "twilio"):
        client.post("/v1/sources", {"id": f"a-{vendor}", "vendor": vendor})
        client.post(f"/v1/sources/a-{vendor}/secrets", {"secret": f"secret of {vendor}"})
    client.post("/v1/sources/a-meta/secrets", {"secret": "made up", "use": "verify_token"})
    http, at = client.http, {vendor: f"/v1/webhooks/{vendor}/a-{vendor}" for vendor in ("meta", "twilio")}

    asked = {"hub.mode": "subscribe", "hub.verify_token": "made up", "hub.challenge": "1158201444"}
    answer = http.get(at["meta"], params=asked)
    assert (answer.status_code, answer.text) == (200, "1158201444")
    assert http.get(at["meta"], params=asked | {"hub.verify_token": "guessed"}).status_code == 401

    payload = urlsafe_b64encode(b'{"algorithm":"HMAC-SHA256","user_id":"218471"}').decode()
    proof = signature(b"secret of meta", payload.encode()).translate(str.maketrans("+/", "-_"))
    answer = http.post(at["meta"], data={"signed_request": f"{proof}.{payload}"})
    assert answer.status_code == 200
    assert answer.json()["url"].endswith(f"{at['meta']}?deletion={answer.json()['confirmation_code']}")
    assert http.get(at["meta"], params={"deletion": answer.json()["confirmation_code"]}).status_code == 200

    assert http.head("/v1/webhooks/surveymonkey/a-surveymonkey").status_code == 200
    assert http.head("/v1/webhooks/shopify/store").status_code == 405
    assert http.get("/v1/webhooks/mailchimp/a-mailchimp").status_code == 200
    assert http.post("/v1/webhooks/woocommerce/a-woocommerce", data={"webhook_id": "5"}).status_code == 200

    url = "https://events.example.com/here"
    http.put("/v1/sources/a-twilio", json={"vendor": "twilio", "webhook": {"url": url}})
    came = {
        "Body": "Hello",
        "From": "+351911234567",
        "MessageSid": "SM1",
        "SmsStatus": "received",
        "To": "+15558675310",
    }
    proof = signature(b"secret of twilio", (url + "".join(name + came[name] for name in sorted(came))).encode(), "sha1")
    answer = http.post(at["twilio"], data=came, headers={"X-Twilio-Signature": proof})
    assert (answer.status_code, answer.text) == (200, "<Response/>")
    client.settled()
    assert client.profile("phone:+351911234567")["metrics"]["events"] == 1
