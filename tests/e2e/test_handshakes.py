"""Vendors that try an address out before they use it, against a real server."""

import json
import time
from collections.abc import Iterator

import pytest

from producers.vendors.signing import signature
from tests.e2e.harness import Client, running

SECRET = "a secret of the app"
TOKEN = "a token that Meta sends back"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with running(tmp_path_factory.mktemp("handshakes") / "data") as (_server, client):
        for vendor in ("whatsapp", "slack", "ses", "mailgun"):
            client.post("/v1/sources", {"id": vendor, "vendor": vendor})
            if vendor != "ses":
                client.post(f"/v1/sources/{vendor}/secrets", {"secret": SECRET})
        client.post("/v1/sources/whatsapp/secrets", {"secret": TOKEN, "use": "verify_token"})
        yield client


def test_meta_gets_its_challenge_back_for_the_verify_token_only(client: Client) -> None:
    asked = {"hub.mode": "subscribe", "hub.challenge": "1158201444", "hub.verify_token": TOKEN}
    answer = client.http.get("/v1/webhooks/whatsapp/whatsapp", params=asked)
    assert (answer.status_code, answer.text) == (200, "1158201444")
    for wrong in ({"hub.verify_token": SECRET}, {"hub.verify_token": ""}, {"hub.mode": "unsubscribe"}):
        refused = client.http.get("/v1/webhooks/whatsapp/whatsapp", params=asked | wrong)
        assert (refused.status_code, "1158201444" in refused.text) == (401, False)


def test_slack_gets_its_challenge_back_if_it_signs(client: Client) -> None:
    body = json.dumps({"type": "url_verification", "challenge": "3eZbrw1aBm2r", "token": "x"}).encode()
    now = str(int(time.time()))
    proof = "v0=" + signature(SECRET.encode(), f"v0:{now}:".encode() + body, "sha256", "hex")
    headers = {"x-slack-signature": proof, "x-slack-request-timestamp": now, "authorization": ""}
    answer = client.http.post("/v1/webhooks/slack/slack", content=body, headers=headers)
    assert (answer.status_code, answer.text) == (200, "3eZbrw1aBm2r")
    forged = client.http.post("/v1/webhooks/slack/slack", content=body + b" ", headers=headers)
    assert (forged.status_code, "3eZbrw1aBm2r" in forged.text) == (401, False)


def test_topics_that_the_source_does_not_hear_are_refused_unvisited(client: Client) -> None:
    """No certificate is fetched for them, so the answer does not wait for Amazon."""
    arn = "arn:aws:sns:us-west-2:123456789012:MyTopic"
    message = {"Type": "SubscriptionConfirmation", "TopicArn": arn, "SubscribeURL": "https://example.com/"}
    answer = client.http.post("/v1/webhooks/ses/ses", json=message, headers={"authorization": ""})
    assert (answer.status_code, answer.json()["code"]) == (401, "unverified")
    assert "`topics`" in answer.json()["detail"]


def test_a_message_on_whatsapp_stands_on_the_profile_of_its_number(client: Client) -> None:
    message = {"from": "989121234567", "id": "wamid.1", "timestamp": "1767607200", "type": "text"}
    value = {"messages": [{**message, "text": {"body": "salam"}}], "contacts": [{"wa_id": "989121234567"}]}
    changes = [{"field": "messages", "value": value}]
    body = json.dumps({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": changes}]}).encode()
    proof = "sha256=" + signature(SECRET.encode(), body, "sha256", "hex")
    for _ in range(3):
        answer = client.http.post(
            "/v1/webhooks/whatsapp/whatsapp",
            content=body,
            headers={"x-hub-signature-256": proof, "authorization": ""},
        )
        assert answer.status_code == 200
    client.settled()
    assert client.profile("phone:+989121234567")["metrics"]["events"] == 1


def test_a_token_of_mailgun_counts_once_whatever_comes_with_it(client: Client) -> None:
    proof = {"timestamp": "1767607200", "token": "t-1"}
    proof["signature"] = signature(SECRET.encode(), b"1767607200t-1", "sha256", "hex")
    before = client.settled()["events"]["unique"]
    for recipient in ("ana@example.com", "eve@example.com"):
        event = {"event": "opened", "timestamp": 1767607200.5, "recipient": recipient}
        answer = client.http.post(
            "/v1/webhooks/mailgun/mailgun",
            json={"signature": proof, "event-data": event},
            headers={"authorization": ""},
        )
        assert answer.status_code == 200
    assert client.settled()["events"]["unique"] == before + 1
