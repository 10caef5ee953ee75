"""Stewards over HTTP: merging and splitting by hand, old profile ids, and explanations of what was refused."""

from collections.abc import Iterator
from typing import Any

import pytest

from profile_api.accounts import MOST_LEVELS
from tests.e2e.harness import Client, running, wait_for


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with running(tmp_path_factory.mktemp("stewards") / "data") as (_, made):
        rule = {"event": "order.completed", "count": {"gte": 2}}
        made.post("/v1/segments", {"id": "twice", "name": "Twice", "rule": rule})
        yield made


def person(client: Client, name: str, orders: int = 1) -> dict[str, Any]:
    """Somebody with a user id, an anonymous id, an email and orders of 10 EUR; the profile."""
    who = {"userId": name, "anonymousId": f"{name}-a"}
    order = {"type": "track", "event": "Order Completed", "properties": {"revenue": 10, "currency": "EUR"}}
    client.send(
        {"type": "identify", **who, "messageId": f"{name}-i", "traits": {"email": f"{name}@example.com", name: 1}},
        *({**order, "userId": name, "messageId": f"{name}-{n}"} for n in range(orders)),
    )
    client.settled()
    return profile(client, f"user_id:{name}")


def profile(client: Client, key: str) -> dict[str, Any]:
    found: dict[str, Any] = client.profile(key)
    del found["freshness"]
    return found


def segments(view: dict[str, Any]) -> list[str]:
    return [one["id"] for one in view["segments"]]


def test_a_merge_and_its_split(client: Client) -> None:
    a, b = person(client, "ann"), person(client, "bob")
    answer = client.post("/v1/profiles/user_id:ann/merge", {"with": b["profile_id"], "reason": "one person"})
    [merged] = answer["profiles"]
    assert merged["profile_id"] == a["profile_id"], "the older one survives"
    assert merged["metrics"]["revenue"] == {"EUR": 20}
    assert {one["value"] for one in merged["identities"] if one["type"] == "user_id"} == {"ann", "bob"}
    assert {"ann", "bob", "email"} <= merged["traits"].keys()
    assert segments(merged) == ["twice"]
    for key in ("user_id:bob", "email:bob@example.com", b["profile_id"]):
        assert client.profile(key)["profile_id"] == a["profile_id"], "the old id resolves"
    leaving = [{"type": one["type"], "value": one["value"]} for one in b["identities"]]
    stays, leaves = preview(client, "user_id:ann", leaving)
    assert (stays["profile_id"], stays["keeps_id"]) == (a["profile_id"], True)
    assert (leaves["profile_id"], leaves["keeps_id"]) == (None, False)
    assert (names(stays), names(leaves)) == (names(a), names(b))
    assert [one["profile_id"] for one in preview(client, "user_id:ann", keys_of(a))] == [None, a["profile_id"]]
    assert profile(client, "user_id:ann")["metrics"]["revenue"] == {"EUR": 20}, "a preview changes nothing"
    answer = client.post(f"/v1/profiles/{b['profile_id']}/split", {"identities": leaving, "reason": "they are two"})
    assert [one["profile_id"] for one in answer["profiles"]] == [a["profile_id"], b["profile_id"]]
    client.settled()
    assert profile(client, a["profile_id"]) == a, "as if they had never been merged"
    assert profile(client, b["profile_id"]) == b
    client.send({"type": "identify", "userId": "ann", "messageId": "x", "traits": {"email": "bob@example.com"}})
    client.settled()
    assert profile(client, "user_id:bob")["profile_id"] == b["profile_id"], "what was split stays apart"
    outcomes = {one["outcome"] for one in explained(client, "user_id:bob")}
    assert {"merged", "split", "refused"} <= outcomes


def test_old_ids_resolve_through_merges_by_links(client: Client) -> None:
    client.send({"type": "page", "anonymousId": "old-1", "messageId": "old-1"})
    client.settled()
    client.send({"type": "page", "anonymousId": "old-2", "messageId": "old-2"})
    client.settled()
    first, second = (client.profile(f"anonymous_id:old-{n}")["profile_id"] for n in (1, 2))
    assert first != second
    for n in (1, 2):
        client.send({"type": "identify", "userId": "old", "anonymousId": f"old-{n}", "messageId": f"old-i{n}"})
    client.settled()
    assert client.profile(first)["profile_id"] == client.profile(second)["profile_id"] == first
    assert len(client.profile("user_id:old")["identities"]) == 3
    found = client.post("/v1/profiles/lookup", {"profiles": [first, second, "user_id:old", "user_id:nobody"]})
    assert [one["profile"] and one["profile"]["profile_id"] for one in found["items"]] == [first, first, first, None]


def test_explanations_list_refusals(client: Client) -> None:
    person(client, "cat")
    person(client, "dan")
    client.send({"type": "identify", "userId": "cat", "messageId": "r", "traits": {"email": "dan@example.com"}})
    client.settled()
    refused = [one for one in explained(client, "user_id:cat") if one["outcome"] == "refused"]
    assert [one["reason"] for one in refused] == ["limit:user_id"]
    assert profile(client, "user_id:cat")["profile_id"] != profile(client, "user_id:dan")["profile_id"]


def test_what_cannot_be_done(client: Client) -> None:
    eve = person(client, "eve")
    mistakes: list[tuple[str, dict[str, Any], int]] = [
        ("user_id:eve/merge", {"with": "user_id:nobody", "reason": "r"}, 404),
        ("user_id:nobody/merge", {"with": "user_id:eve", "reason": "r"}, 404),
        ("user_id:eve/merge", {"with": eve["profile_id"], "reason": "r"}, 409),
        ("user_id:eve/split", {"identities": [{"type": "user_id", "value": "nobody"}], "reason": "r"}, 409),
        ("user_id:eve/split", {"identities": keys_of(eve), "reason": "r"}, 409),
        ("user_id:eve/split", {"identities": keys_of(eve), "dry_run": True}, 409),
        ("user_id:nobody/split", {"identities": keys_of(eve), "dry_run": True}, 404),
        ("user_id:eve/split", {"identities": [], "reason": "r"}, 422),
        ("user_id:eve/merge", {}, 422),
    ]
    for path, body, status in mistakes:
        problem = client.post(f"/v1/profiles/{path}", body, status)
        assert problem["code"]
        assert problem["message"]
    assert profile(client, "user_id:eve") == eve


def keys_of(view: dict[str, Any]) -> list[dict[str, str]]:
    return [{"type": one["type"], "value": one["value"]} for one in view["identities"]]


def preview(client: Client, key: str, identities: list[dict[str, str]]) -> list[dict[str, Any]]:
    answer = client.post(f"/v1/profiles/{key}/split", {"identities": identities, "dry_run": True})
    assert answer["dry_run"] is True
    sides: list[dict[str, Any]] = answer["profiles"]
    return sides


def names(side: dict[str, Any]) -> set[tuple[str, str]]:
    return {(one["type"], one["value"]) for one in side["identities"]}


def explained(client: Client, key: str) -> list[dict[str, Any]]:
    decisions: list[dict[str, Any]] = client.get(f"/v1/profiles/{key}/identities", explain="true")["decisions"]
    return decisions


def test_an_account_with_its_people_through_merges_splits_and_erasure(client: Client) -> None:
    """Over HTTP alone: the calls of SDKs, CloudEvents without a person, and what the API says of the account."""
    in_group = {"type": "group", "groupId": "acme", "traits": {"name": "Acme", "industry": "steel", "vat": "DE1"}}
    order = {"type": "track", "event": "Order Completed"}
    client.send(
        {**in_group, "userId": "buyer", "properties": {"role": "buyer", "reports_to": "boss"}},
        {**in_group, "userId": "boss", "anonymousId": "boss-a", "traits": {}, "properties": {"role": "director"}},
        {**in_group, "userId": "buyer-2", "traits": {}},
        {"type": "group", "groupId": "acme-isfahan", "userId": "seller", "properties": {"parent_id": "acme"}},
        {**order, "userId": "buyer", "properties": {"revenue": 10, "currency": "EUR"}},
        {**order, "userId": "seller", "properties": {"revenue": 5, "currency": "EUR"}},
        {**order, "userId": "guest", "context": {"groupId": "acme"}, "properties": {"revenue": 2, "currency": "EUR"}},
        {"type": "group", "groupId": "acme", "traits": {"employees": 50}, "properties": {"parent_id": "acme-isfahan"}},
    )
    client.settled()
    acme = client.get("/v1/accounts/acme")
    assert acme["traits"] == {"name": "Acme", "industry": "steel", "employees": 50, "vat": "DE1"}
    assert (acme["members"], acme["parent"], acme["branches"]) == (3, None, ["acme-isfahan"])
    assert (acme["metrics"]["orders"], acme["metrics"]["revenue"]) == (2, {"EUR": 12})
    tree = client.get("/v1/accounts/acme/tree")
    assert (tree["tree"]["total"]["revenue"], tree["tree"]["branches"][0]["total"]["orders"]) == ({"EUR": 17}, 1)
    assert [(one["account"], one["parent"]) for one in tree["refused"]] == [("acme", "acme-isfahan")]
    assert client.get("/v1/accounts/acme-isfahan/tree")["above"] == ["acme"]
    assert members(client) == {"buyer": "buyer", "boss": "director", "buyer-2": None}
    listed = client.get("/v1/accounts", search="acme", limit=1)
    assert [(one["key"], one["members"]) for one in listed["items"]] == [("acme", 3)]
    [other] = client.get("/v1/accounts", search="acme", cursor=listed["next_cursor"])["items"]
    assert other["key"] == "acme-isfahan"
    [place] = client.profile("user_id:buyer", include="accounts")["accounts"]
    assert (place["key"], place["role"]) == ("acme", "buyer")
    boss = client.profile("user_id:boss")["profile_id"]
    assert {one["reports_to"] for one in client.get("/v1/accounts/acme/members")["items"]} == {boss, None}

    [merged] = client.post("/v1/profiles/user_id:buyer/merge", {"with": "user_id:buyer-2", "reason": "one"})["profiles"]
    assert client.get("/v1/accounts/acme")["members"] == 2
    apart = {"identities": [{"type": "user_id", "value": "buyer-2"}], "reason": "two after all"}
    client.post(f"/v1/profiles/{merged['profile_id']}/split", apart)
    assert members(client) == {"buyer": "buyer", "boss": "director", "buyer-2": None}

    types = [event["type"] for event in client.get("/v1/accounts/acme/timeline")["items"]]
    assert sorted(types) == ["group.joined"] * 4 + ["order.completed"] * 2
    client.send({"type": "track", "event": "Account Removed User", "userId": "buyer-2", "context": {"groupId": "acme"}})
    client.settled()
    client.http.request("DELETE", "/v1/profiles/user_id:boss", json={"reason": "asked"}).raise_for_status()
    wait_for(lambda: members(client) == {"buyer": "buyer"}, "the director is still a member")
    assert client.get("/v1/accounts/acme/members")["items"][0]["reports_to"] is None
    assert client.get("/v1/accounts/acme")["traits"]["name"] == "Acme"
    assert client.http.get("/v1/accounts/nobody").status_code == 404


def members(client: Client) -> dict[str, str | None]:
    """User id -> role."""
    items = client.get("/v1/accounts/acme/members")["items"]
    return {one["value"]: item["role"] for item in items for one in item["identities"] if one["type"] == "user_id"}


def test_a_tree_is_answered_however_deep_it_is(client: Client) -> None:
    """Whoever has a public key can make a chain of branches."""
    levels = MOST_LEVELS + 50
    client.send(
        *(
            {
                "type": "group",
                "groupId": f"deep-{n}",
                "messageId": f"deep-{n}",
                "traits": {"parent_id": f"deep-{n - 1}"},
            }
            for n in range(1, levels)
        )
    )
    client.settled()
    refused = client.http.get("/v1/accounts/deep-0/tree")
    assert (refused.status_code, refused.json()["code"]) == (422, "query_too_large")
    lowest = client.get(f"/v1/accounts/deep-{levels - MOST_LEVELS}/tree")["tree"]
    for n in range(levels - MOST_LEVELS, levels):
        assert lowest["key"] == f"deep-{n}"
        lowest = lowest["branches"][0] if lowest["branches"] else None
    assert lowest is None
