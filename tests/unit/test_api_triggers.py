"""Triggers and their deliveries over HTTP."""

from typing import Any

import pytest

from schemas.clock import iso
from tests.unit.api_world import NOW, World, call, moment

pytest_plugins = ("tests.unit.api_fixtures",)


RULE: dict[str, Any] = {"trait": "country", "in": ["IR", "DE"]}
TRIGGER: dict[str, Any] = {
    "id": "welcome",
    "segment": "locals",
    "on": ["entered"],
    "webhook": {"url": "https://hooks.example.com/x"},
}


def test_a_trigger_shows_its_secret_once(live: World) -> None:
    assert call(live, "POST", "/v1/triggers", TRIGGER, 422)["code"] == "unknown_segment"
    call(live, "POST", "/v1/segments", {"id": "locals", "rule": RULE}, 201)
    made = call(live, "POST", "/v1/triggers", TRIGGER, 201)
    secret = made["webhook"]["secret"]
    assert secret.startswith("whsec_")
    assert "*" not in secret
    shown = call(live, "GET", "/v1/triggers/welcome")
    assert shown == made | {"webhook": {"url": TRIGGER["webhook"]["url"], "secret": "whsec_********"}}
    assert call(live, "GET", "/v1/triggers")["items"] == [shown]
    assert call(live, "POST", "/v1/triggers", TRIGGER, 409)["code"] == "exists"
    assert call(live, "DELETE", "/v1/segments/locals", status=409)["code"] == "in_use"
    changed = call(live, "PUT", "/v1/triggers/welcome", {k: v for k, v in TRIGGER.items() if k != "on"})
    assert changed["on"] == ["entered", "exited"]
    assert changed["causes"] == ["event", "time", "merge", "consent", "erased"]
    changed = call(live, "PUT", "/v1/triggers/welcome", TRIGGER | {"causes": ["split", "event", "split"]})
    assert changed["causes"] == call(live, "GET", "/v1/triggers/welcome")["causes"] == ["split", "event"]
    for wrong in ([], ["replay"], ["absorbed"], ["birthday"], "split"):
        call(live, "PUT", "/v1/triggers/welcome", TRIGGER | {"causes": wrong}, 422)
    stored = live.registry.triggers["welcome"].webhook.secret.get_secret_value()
    assert stored == secret
    call(live, "DELETE", "/v1/triggers/welcome", status=204)
    call(live, "GET", "/v1/triggers/welcome", status=404)


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",
        "https://127.0.0.1/",
        "https://hooks.example.com:9/",
        "ftp://x",
        "nonsense",
    ],
)
def test_a_webhook_address_is_guarded(live: World, url: str) -> None:
    call(live, "POST", "/v1/segments", {"id": "locals", "rule": RULE}, 201)
    problem = call(live, "POST", "/v1/triggers", TRIGGER | {"webhook": {"url": url}}, 422)
    assert problem["code"] == "invalid_webhook_url"


def test_deliveries_come_latest_first_and_by_status(live: World) -> None:
    call(live, "POST", "/v1/segments", {"id": "locals", "rule": RULE}, 201)
    call(live, "POST", "/v1/triggers", TRIGGER, 201)
    columns = ["trigger", "id", "status", "attempts", "next_at", "created_at", "updated_at", "response_code",
               "error", "body", "ver"]  # fmt: skip
    told = ((0, "pending", 0, 1), (0, "delivered", 204, 2), (1, "gave_up", 500, 3), (2, "pending", 0, 4))
    rows = [
        (
            "welcome",
            f"msg_{n}",
            status,
            1,
            moment(NOW),
            moment(NOW + n // 2),
            moment(NOW),
            code,
            "",
            '{"a":1}',
            v,
        )
        for n, status, code, v in told
    ]
    live.insert("deliveries", columns, rows)
    first = call(live, "GET", "/v1/triggers/welcome/deliveries?limit=2")
    rest = call(live, "GET", f"/v1/triggers/welcome/deliveries?cursor={first['next_cursor']}")
    assert [one["id"] for one in first["items"] + rest["items"]] == ["msg_2", "msg_1", "msg_0"]
    assert rest["items"][0] == {
        "id": "msg_0",
        "trigger": "welcome",
        "status": "delivered",
        "attempts": 1,
        "next_at": None,
        "created_at": iso(NOW),
        "updated_at": iso(NOW),
        "response_code": 204,
        "error": None,
        "body": {"a": 1},
    }
    waiting = call(live, "GET", "/v1/triggers/welcome/deliveries?status=pending")["items"]
    assert [(one["id"], one["next_at"], one["response_code"]) for one in waiting] == [("msg_2", iso(NOW), None)]
    call(live, "GET", "/v1/triggers/welcome/deliveries?status=lost", status=422)
