"""Consent over HTTP: what is stated, what is allowed by it, and whom a trigger then tells about."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.harness import Client, Server, running, wait_for
from tests.webhook_receiver import Receiver, receiving

WITHDRAW = """
import sys
from pathlib import Path
from profile_api.statements import Stated
from schemas.clock import system_clock
from simorgh.platform import Platform
from simorgh.settings import load_settings
from simorgh.statements import state_consent
platform = Platform(load_settings(data=Path(sys.argv[1])))
state_consent(platform.log, platform.door, Stated(("user_id", "sara"), {"marketing": False}, system_clock(), None, {}))
platform.close()
"""
RULE = {"event": "order.completed", "count": {"gte": 1}}


def declare(client: Client) -> None:
    client.post("/v1/purposes", {"id": "marketing", "name": "Offers"})
    client.post("/v1/purposes", {"id": "care", "lawful_basis": "legitimate_interests"})
    client.post("/v1/segments", {"id": "buyers", "rule": RULE})


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with running(tmp_path_factory.mktemp("consent") / "data") as (_, made):
        declare(made)
        yield made


def order(name: str, **consent: bool) -> dict[str, Any]:
    context = {"context": {"consent": {"categoryPreferences": consent}}} if consent else {}
    return {"type": "track", "userId": name, "event": "Order Completed", "messageId": f"{name}-o", **context}


def shown(client: Client, key: str) -> dict[str, Any]:
    """All parts but events, and what consent allows."""
    parts = "traits,identities,segments,metrics,consent,predictions"
    view: dict[str, Any] = client.profile(key, include=parts)
    return view


def timeless(view: dict[str, Any]) -> dict[str, Any]:
    return {name: part for name, part in view.items() if name != "freshness"}


def test_a_statement_is_in_force_on_record_and_counts_nowhere(client: Client) -> None:
    client.send({"type": "identify", "userId": "sara", "messageId": "s1", "traits": {"email": "sara@example.com"}})
    client.settled()
    before, status = shown(client, "user_id:sara"), client.settled()
    assert before["purposes"]["marketing"] == {
        "allowed": False, "by": "default", "choice": None, "since": None, "source": None, "channel": None,
        "lawful_basis": "consent",
    }  # fmt: skip
    assert before["purposes"]["care"]["allowed"]
    body = {"consent": {"marketing": True, "news": False}, "reason": "asked by phone", "at": "2026-01-02T03:04:05Z"}
    view = client.post("/v1/profiles/email:sara@example.com/consent", body)
    assert [one["purpose"] for one in view["warnings"]] == ["news"]
    assert view["consent"] == {"marketing": True, "news": False}
    assert view["purposes"]["marketing"] == {
        "allowed": True, "by": "statement", "choice": True, "since": "2026-01-02T03:04:05.000Z",
        "source": "simorgh.platform", "channel": "server", "lawful_basis": "consent",
    }  # fmt: skip
    assert client.profile("user_id:sara", include="consent")["purposes"] == view["purposes"]
    assert view["metrics"] == before["metrics"]
    assert view["identities"] == before["identities"]
    after = client.settled()
    assert (after["events"], after["profiles"]) == (status["events"], status["profiles"])
    earlier = client.post(
        "/v1/profiles/user_id:sara/consent", {"consent": {"marketing": False}, "at": "2026-01-01T00:00:00Z"}
    )
    assert earlier["consent"]["marketing"] is True, "the latest statement holds, whenever it came"
    history = client.get("/v1/profiles/user_id:sara/consent", purpose="marketing")["items"]
    assert [(one["choice"], one["at"]) for one in history] == [
        (True, "2026-01-02T03:04:05.000Z"), (False, "2026-01-01T00:00:00.000Z")
    ]  # fmt: skip
    assert (history[0]["reason"], history[0]["stated_by"]) == ("asked by phone", "token:env")
    assert "reason" not in history[1]


def test_the_history_is_paged(client: Client) -> None:
    client.send({"type": "identify", "userId": "many", "messageId": "many"})
    client.settled()
    for n in range(5):
        path = "/v1/profiles/user_id:many/consent"
        client.post(path, {"consent": {"marketing": bool(n % 2), "care": True}, "at": 1_700_000_000_000 + n})
    found, cursor = [], None
    while True:
        page = client.get("/v1/profiles/user_id:many/consent", limit=3, **({"cursor": cursor} if cursor else {}))
        found += [(one["at"], one["purpose"]) for one in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert len(found) == len(set(found)) == 10
    assert found == sorted(found, reverse=True)


def test_under_a_purpose_only_those_who_allow_it_are_shown(client: Client) -> None:
    client.send(order("ann", marketing=True), order("bob", marketing=False), order("cyd"))
    client.settled()
    told = {name: client.profile(f"user_id:{name}", purpose="marketing") for name in ("ann", "bob", "cyd")}
    assert told["ann"]["metrics"]["orders"] == 1
    for name in ("bob", "cyd"):
        assert told[name].keys() == {"profile_id", "purposes"}
        assert told[name]["purposes"].keys() == {"marketing"}
    assert client.profile("user_id:bob", purpose="care")["metrics"]["orders"] == 1
    body = {"identifiers": [{"type": "user_id", "value": name} for name in told]}
    looked_up = client.post("/v1/profiles/lookup?purpose=marketing", body)["items"]
    assert [timeless(one["profile"]) for one in looked_up] == [timeless(told[name]) for name in told]
    for name in ("bob", "cyd"):
        [found] = client.get("/v1/profiles", search=name, purpose="marketing")["items"]
        assert found == told[name]
        for part in ("events", "identities"):
            answer = client.http.get(f"/v1/profiles/user_id:{name}/{part}", params={"purpose": "marketing"})
            assert (answer.status_code, answer.json()["code"]) == (403, "no_consent")
    members = client.get("/v1/segments/buyers/members", purpose="marketing")
    assert [one["profile_id"] for one in members["items"]] == [told["ann"]["profile_id"]]
    assert members["left_out"] == 2
    assert len(client.get("/v1/segments/buyers/members")["items"]) == 3
    answer = client.http.get("/v1/profiles/user_id:ann", params={"purpose": "marketting"})
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_purpose")


def test_a_replay_keeps_what_was_stated_over_the_api(client: Client) -> None:
    client.send({"type": "identify", "userId": "kept", "messageId": "kept"})
    client.settled()
    client.post("/v1/profiles/user_id:kept/consent", {"consent": {"marketing": True}})
    before = timeless(client.profile("user_id:kept"))
    history = client.get("/v1/profiles/user_id:kept/consent")
    status = client.settled()
    client.post("/v1/replay")
    wait_for(lambda: client.get("/v1/replay")["state"] == "done", "the replay did not end")
    assert timeless(client.profile("user_id:kept")) == before
    assert client.get("/v1/profiles/user_id:kept/consent") == history
    assert client.settled()["events"] == status["events"]


def test_a_hidden_statement_holds(client: Client) -> None:
    """A view shows 300 purposes: whoever states others must not make it forget a no."""
    client.send({"type": "identify", "userId": "hid", "messageId": "hid"})
    client.settled()
    path = "/v1/profiles/user_id:hid/consent"
    client.post(path, {"consent": {"care": False}, "at": 1_600_000_000_000})
    junk = [{f"junk{n}-{i}": True for i in range(100)} for n in range(4)]
    client.send(
        *(
            {**order("hid"), "messageId": f"junk{n}", "context": {"consent": {"categoryPreferences": one}}}
            for n, one in enumerate(junk)
        )
    )
    client.settled()
    view = shown(client, "user_id:hid")
    assert "care" not in view["consent"]
    assert view["purposes"]["care"]["choice"] is False
    assert view["purposes"]["care"]["since"] == "2020-09-13T12:26:40.000Z"
    assert client.profile("user_id:hid", purpose="care").keys() == {"profile_id", "purposes"}


# ---- triggers


def trigger(client: Client, receiver: Receiver) -> None:
    client.post(
        "/v1/triggers",
        {"id": "offer", "segment": "buyers", "webhook": {"url": receiver.url}, "purpose": "marketing"},
    )


def outcomes(client: Client, **wanted: str) -> list[tuple[str, str | None]]:
    items = client.get("/v1/triggers/offer/deliveries", **wanted)["items"]
    return [(one["status"], one["error"]) for one in items]


REFUSED = ("refused", "no consent for marketing")


def test_a_trigger_tells_nobody_without_consent_and_says_so(tmp_path: Path) -> None:
    with receiving() as receiver, running(tmp_path / "data") as (server, client):
        declare(client)
        bad = {"segment": "buyers", "webhook": {"url": receiver.url}, "purpose": "other"}
        assert client.post("/v1/triggers", bad, 422)["code"] == "unknown_purpose"
        trigger(client, receiver)
        assert client.http.delete("/v1/purposes/marketing").json()["code"] == "in_use"
        client.send(order("ann", marketing=True), order("bob", marketing=False), order("cyd"))
        wait_for(lambda: len(outcomes(client)) == 3 and not outcomes(client, status="pending"), "not all is told")
        assert sorted(outcomes(client), key=str) == [("delivered", None), REFUSED, REFUSED]
        assert [call.data["profile_id"] for call in receiver.calls] == [client.profile("user_id:ann")["profile_id"]]
        refused = client.get("/v1/triggers/offer/deliveries", status="refused")["items"]
        assert all(one["body"]["data"]["identities"] == [] and one["attempts"] == 0 for one in refused)
        client.post("/v1/replay")
        wait_for(lambda: client.get("/v1/replay")["state"] == "done", "the replay did not end")
        server.kill()
        server.start()
        client.settled()
        assert client.get("/v1/triggers/offer/deliveries", status="refused")["items"] == refused
        assert len(receiver.calls) == 1


def withdraw_offline(data: Path) -> None:
    """In a process of its own: this one may have the engine open on another folder."""
    subprocess.run([sys.executable, "-c", WITHDRAW, str(data)], check=True, timeout=120)


def test_a_withdrawal_between_the_decision_and_the_sending_stops_it(tmp_path: Path) -> None:
    """The server is killed right after it scheduled the delivery; before it starts again, consent is withdrawn."""
    data = tmp_path / "data"
    with receiving() as receiver, Server(data) as server:
        server.start(SIMORGH_CRASH_AT="scheduled:1")
        client = Client(server)
        declare(client)
        trigger(client, receiver)
        with suppress(httpx.TransportError):  # it may be killed before it answers
            client.send(order("sara", marketing=True))
        wait_for(server.died, "it was not killed")
        server.kill()
        withdraw_offline(data)
        server.start()
        wait_for(lambda: outcomes(client) == [REFUSED], "the delivery was not refused")
        client.settled()
        client.close()
        assert receiver.calls == []


def test_a_withdrawal_stops_the_retries(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with receiving(lambda number: (500, {})) as receiver, running(data) as (server, client):
        declare(client)
        trigger(client, receiver)
        client.send(order("sara", marketing=True))
        wait_for(lambda: receiver.calls, "nobody was told")
        wait_for(lambda: outcomes(client) == [("pending", "http_500")], "the failure is not on record")
        server.kill()
        calls = len(receiver.calls)
        withdraw_offline(data)  # not over HTTP: the next try comes soon
        server.start()
        wait_for(lambda: outcomes(client) == [REFUSED], "the delivery was not refused")
        assert len(receiver.calls) == calls
