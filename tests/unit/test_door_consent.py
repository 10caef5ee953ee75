"""Events that state consent by themselves do so on every way in."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from producers.door import Refused, Verdict
from producers.files.events import Maker
from producers.verdicts import SdkRequest, cloudevent_verdict
from schemas.catalog import Catalog
from tests.clients.world import NOW, make_door, make_source

DOOR = make_door(new_id=lambda: "fresh")
CATALOG = Catalog.load()

Way = Callable[[str, dict[str, Any], dict[str, Any]], Verdict]


def sdk(name: str, properties: dict[str, Any], consent: dict[str, Any]) -> Verdict:
    message: dict[str, Any] = {"event": name, "userId": "u1", "messageId": "m-1", "properties": properties}
    message["context"] = {"consent": {"categoryPreferences": consent}}
    request = SdkRequest(source=make_source(), kind="track", members=message, body=b"{}", received_at=NOW)
    return request.verdict(DOOR, CATALOG, lambda: "fresh", message)


def cloudevent(name: str, properties: dict[str, Any], consent: dict[str, Any]) -> Verdict:
    data = {"identifiers": [{"type": "user_id", "value": "u1"}], "properties": properties, "consent": consent}
    event = {"specversion": "1.0", "id": "1", "source": "/x", "type": name, "data": data}
    return cloudevent_verdict(DOOR, CATALOG, lambda: "fresh", event, source=make_source(), received_at=NOW)


def file(name: str, properties: dict[str, Any], consent: dict[str, Any]) -> Verdict:
    event = Maker("letters", "email", "letters.csv", ()).event("1", name, NOW, [("user_id", "u1")], properties)
    event["data"]["consent"] = consent
    return cloudevent_verdict(DOOR, CATALOG, lambda: "fresh", event, source=make_source(), received_at=NOW)


@pytest.mark.parametrize("way", [sdk, cloudevent, file])
@pytest.mark.parametrize(
    ("name", "properties", "stated"),
    [
        ("consent.given", {"purpose": "marketing"}, {"marketing": True}),
        ("Consent Withdrawn", {"purpose": " marketing "}, {"marketing": False}),
        ("consent.withdrawn", {}, None),
        ("consent.withdrawn", {"purpose": {"deep": 1}}, None),
        ("email.unsubscribed", {}, {"email": False}),
        ("Unsubscribed", {"list_id": ""}, {"email": False}),
        ("Unsubscribed", {"list_id": "weekly"}, None),
        ("Unsubscribed", {"listId": "weekly"}, None),
        ("email.subscribed", {}, {"email": True}),
        ("Email Marked as Spam", {}, {"email": False}),
        ("sms.received", {"text": " stop\n"}, {"sms": False}),
        ("SMS Received", {"text": "لغو۱۱"}, {"sms": False}),
        ("sms.received", {"text": "Start"}, {"sms": True}),
        ("sms.received", {"text": "Do not stop"}, None),
        ("sms.unsubscribed", {}, {"sms": False}),
        ("SMS Opted Out", {}, {"sms": False}),
        ("SMS Opted In", {}, {"sms": True}),
        ("Page Unsubscribed", {}, None),
    ],
)
def test_an_event_states_consent_by_itself(
    way: Way, name: str, properties: dict[str, Any], stated: dict[str, bool] | None
) -> None:
    verdict = way(name, properties, {})
    assert not isinstance(verdict, Refused), verdict
    assert orjson.loads(verdict[1]).get("consent") == stated


@pytest.mark.parametrize("way", [sdk, cloudevent, file])
def test_of_its_own_purpose_the_event_has_the_last_word(way: Way) -> None:
    verdict = way("Unsubscribed", {}, {"email": "granted", "ads": True})
    assert not isinstance(verdict, Refused), verdict
    assert orjson.loads(verdict[1])["consent"] == {"email": False, "ads": True}
