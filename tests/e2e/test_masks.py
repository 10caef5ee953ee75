"""A token without the scope `personal` sees nothing personal, whichever documented route it asks: canaries in every
field that holds a value. The same walk with the scope finds them, so that it could fail."""

import base64
import os
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.e2e.harness import TOKEN, Client, Server, running
from tests.programs import run

CANARY = "q7f3a91x"
PHONE = "+989124455667"
HIDDEN = (CANARY, PHONE[4:-2])
SCOPES = ["read", "write", "steward", "admin", "audit"]

PEOPLE: tuple[dict[str, Any], ...] = (
    {
        "type": "identify",
        "userId": f"u-{CANARY}",
        "anonymousId": f"a-{CANARY}",
        "traits": {
            "email": f"{CANARY}@example.com",
            "phone": PHONE,
            "name": f"Sara {CANARY}",
            "address": {"street": CANARY},
            "age": CANARY,
            "plan": CANARY,
            CANARY: 1,
            "nested": {CANARY: [CANARY, {"deep": CANARY}]},
        },
        "context": {"ip": "203.0.113.7", "page": {"url": f"https://shop.example/{CANARY}"}, CANARY: CANARY},
    },
    {"type": "identify", "userId": "u-other", "traits": {"email": f"other-{CANARY}@example.com", "plan": "gold"}},
    {
        "type": "track",
        "userId": f"u-{CANARY}",
        "event": "Order Completed",
        "properties": {"order_id": "o-1", "revenue": CANARY, "total": 20, "currency": "EUR", "note": CANARY, CANARY: 3},
        "context": {"traits": {"email": f"{CANARY}@example.com"}, "userAgent": CANARY},
    },
    {
        "type": "track",
        "userId": f"u-{CANARY}",
        "event": "Lamp Lit",
        "properties": {"by": CANARY, "in": {"room": CANARY}},
    },
    {
        "type": "page",
        "userId": f"u-{CANARY}",
        "name": "Home",
        "properties": {"search": CANARY, "url": CANARY, "x": CANARY},
    },
    {
        "type": "group",
        "userId": f"u-{CANARY}",
        "groupId": "g-1",
        "traits": {"name": "Attar", "email": f"{CANARY}@example.com", CANARY: CANARY},
    },
    {"type": "track", "event": "Nobody", "properties": {"by": CANARY}},
    {"type": "track", "userId": f"u-{CANARY}", "event": "Lamp Lit", "timestamp": CANARY, "properties": {"by": "x"}},
)

PLACES = {
    "/v1/profiles/{key}": (
        "",
        "?include=traits,identities,segments,metrics,consent,predictions,events&provenance=true",
        "?include=events",
    ),
    "/v1/profiles/{key}/identities": ("?explain=true",),
    "/v1/profiles": ("", "?order=latest"),
    "/v1/accounts/{key}": ("", "?provenance=true"),
    "/v1/events": ("?limit=1000",),
    "/v1/rejected": ("", "?resolved=true"),
    "/v1/schemas": ("", "?unplanned=true"),
    "/v1/seen": (
        "?of=types",
        "?of=traits",
        "?of=identifiers",
        "?of=consents",
        "?of=properties&type=order.completed",
        "?of=properties&type=custom.lamp_lit",
        "?of=traits&name=plan",
        "?of=traits&name=email",
        "?of=properties&type=custom.lamp_lit&name=by",
        "?of=properties&type=order.completed&name=context.userAgent",
    ),
}
NAMES = {
    "segments": ("everybody", "sara"),
    "traits": ("favourite",),
    "triggers": ("tell",),
    "schemas": ("order.completed",),
    "sources": ("default",),
    "tokens": ("env",),
    "rejected": (f"m-{CANARY}-6",),
}
SHOW = (
    "/v1/profiles",
    "/v1/profiles/{key}",
    "/v1/profiles/{key}/events",
    "/v1/profiles/{key}/identities",
    "/v1/accounts",
    "/v1/accounts/{key}",
    "/v1/accounts/{key}/timeline",
    "/v1/accounts/{key}/members",
    "/v1/events",
    "/v1/rejected",
    "/v1/rejected/{name}",
    "/v1/seen",
    "/v1/segments",
    "/v1/segments/{name}",
    "/v1/segments/{name}/why/{key}",
    "/v1/traits/{name}/why/{key}",
    "/v1/triggers/{name}/deliveries",
    "/v1/profiles/{key}/consent",
    "/v1/privacy/requests",
)
"""Where the canaries are for whoever may see them."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Client]]:
    data = tmp_path_factory.mktemp("masks") / "data"
    with running(data) as (server, client):
        plant(client)
        yield server, client


def plant(client: Client) -> None:
    everybody = {"any": [{"identity": "user_id", "exists": True}, {"trait": "plan", "exists": True}]}
    client.post("/v1/segments", {"id": "everybody", "rule": everybody})
    client.post("/v1/segments", {"id": "sara", "rule": {"trait": "email", "eq": f"{CANARY}@example.com"}})
    favourite = {"event": "custom.lamp_lit", "take": "most_frequent", "of": "by"}
    client.post("/v1/traits", {"id": "favourite", "compute": favourite})
    hook = {"url": "http://127.0.0.1:9/hook"}
    client.post("/v1/triggers", {"id": "tell", "segment": "everybody", "webhook": hook})
    consent = {"context": {"consent": {"categoryPreferences": {"marketing": True, CANARY: True}}}}
    client.send(*(body | {"messageId": f"m-{CANARY}-{n}"} for n, body in enumerate(PEOPLE)))
    client.send({"type": "track", "userId": "u-other", "event": "Lamp Lit", "messageId": "m-x", **consent})
    client.send(
        {"type": "track", "userId": f"u-{CANARY}", "event": CANARY, "messageId": f"m-{CANARY}-2"}
    )  # another content
    client.settled()
    one = {"with": "user_id:u-other", "reason": f"asked by {CANARY}"}
    client.post(f"/v1/profiles/user_id:u-{CANARY}/merge", one)
    two = {"identities": [{"type": "user_id", "value": "u-other"}], "reason": f"wrong: {CANARY}"}
    client.post(f"/v1/profiles/user_id:u-{CANARY}/split", two)
    client.settled()
    client.post("/v1/purposes", {"id": "marketing", "name": "Offers"})
    said = {"consent": {"marketing": True}, "reason": f"said {CANARY} by phone"}
    client.post(f"/v1/profiles/user_id:u-{CANARY}/consent", said)
    gone = {"type": "identify", "userId": f"gone-{CANARY}", "messageId": f"gone-{CANARY}"}
    client.send(gone)
    client.settled()
    forgotten = client.http.request("DELETE", f"/v1/profiles/user_id:gone-{CANARY}", json={"reason": f"for {CANARY}"})
    assert forgotten.status_code == 202, forgotten.text


def masked_token(client: Client) -> str:
    return str(client.post("/v1/tokens", {"name": "masked", "scopes": SCOPES})["token"])


def walk(client: Client, token: str) -> Iterator[tuple[str, str, httpx.Response]]:
    """Path as it is documented, path asked for, answer: every GET."""
    profiles = [one["profile_id"] for one in client.get("/v1/profiles")["items"]]
    documented = client.http.get("/openapi.json").json()["paths"]
    http = httpx.Client(base_url=client.http.base_url, headers={"authorization": f"Bearer {token}"}, timeout=30)
    with http:
        for path in [path for path, item in documented.items() if "get" in item and path.startswith("/v1/")]:
            for asked in concrete(path, profiles):
                if path.endswith("/stream"):
                    yield path, asked, first_of(http, asked)
                    continue
                for query in PLACES.get(path, ("",)):
                    yield path, asked + query, http.get(asked + query)


def concrete(path: str, profiles: list[str]) -> list[str]:
    names = NAMES.get(path.split("/")[2], ("x",))
    keys = ["g-1"] if path.startswith("/v1/accounts/") else profiles if "{key}" in path else [""]
    return [path.replace("{name}", name).replace("{key}", key) for name in names for key in keys]


def first_of(http: httpx.Client, path: str) -> httpx.Response:
    """What an event stream says first, as an answer."""
    with http.stream("GET", path, headers={"last-event-id": "0"}) as answer:
        lines = []
        for line in answer.iter_lines():
            lines.append(line)
            if line.startswith("data:"):
                break
        return httpx.Response(answer.status_code, text="\n".join(lines))


def found_in(text: str) -> list[str]:
    words = [base64.b64encode(one.encode()).decode().rstrip("=")[:-1] for one in HIDDEN]
    return [one for one in (*HIDDEN, *words) if one.lower() in text.lower()]


def test_without_the_scope_no_route_shows_a_canary(world: tuple[Server, Client]) -> None:
    _, client = world
    seen = set()
    for path, asked, answer in walk(client, masked_token(client)):
        own_type = answer.text.replace(f"custom.{CANARY}", "")  # an event's type stays in the clear
        assert not found_in(own_type), (asked, own_type[max(0, own_type.find(CANARY) - 300) :][:400])
        assert answer.status_code in (200, 401, 403, 404), (asked, answer.text)
        if answer.status_code == 200:
            seen.add(path)
    assert seen >= set(SHOW) - {"/v1/rejected/{name}"}, "the walk looks into what is shown"


def test_with_the_scope_the_same_walk_finds_them(world: tuple[Server, Client]) -> None:
    _, client = world
    found = {path for path, _, answer in walk(client, TOKEN) if found_in(answer.text)}
    assert set(SHOW) <= found


def test_what_is_shown_is_still_of_use(world: tuple[Server, Client]) -> None:
    server, client = world
    profile = client.profile(f"user_id:u-{CANARY}")["profile_id"]
    with httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {masked_token(client)}"}) as http:
        view = http.get(f"/v1/profiles/{profile}").json()
        assert view["traits"]["email"] == "q…@example.com"
        assert view["traits"]["phone"] == "+98…67"
        assert {one["type"]: one["value"] for one in view["identities"]}["phone"] == "+98…67"
        assert view["metrics"]["orders"] == 1
        events = http.get(f"/v1/profiles/{profile}/events").json()["items"]
        [order] = [one for one in events if one["type"] == "order.completed"]
        assert (order["properties"]["total"], order["properties"]["currency"]) == (20, "EUR")
        assert order["properties"]["…"] == "…"
        client.http.put("/v1/sources/shop-x", json={})  # there is none: nothing changes
        account = http.get("/v1/accounts/g-1?provenance=true").json()["traits"]
        assert (account["name"]["value"], account["email"]["value"]) == ("Attar", "q…@example.com")
        [segment] = [one for one in http.get("/v1/segments").json()["items"] if one["id"] == "sara"]
        assert segment["rule"] == {"trait": "email", "eq": "…"}


ORACLES: tuple[tuple[str, str, Any], ...] = (
    ("GET", f"/v1/profiles/user_id:u-{CANARY}", None),
    ("GET", "/v1/profiles/user_id:u-nobody", None),
    ("GET", f"/v1/profiles?search={CANARY}", None),
    ("POST", "/v1/profiles/lookup", {"identifiers": [{"type": "user_id", "value": f"u-{CANARY}"}]}),
    ("POST", "/v1/segments/preview", {"rule": {"trait": "email", "eq": f"{CANARY}@example.com"}}),
    ("POST", "/v1/segments/preview", {"rule": {"not": {"trait": "plan", "starts_with": "g"}}}),
    (
        "POST",
        "/v1/segments/preview",
        {"rule": {"event": "custom.lamp_lit", "where": [{"property": "by", "eq": CANARY}], "count": {"gte": 1}}},
    ),
    ("POST", "/v1/segments", {"id": "probe", "rule": {"trait": "email", "contains": "sara"}}),
    ("POST", "/v1/events/known", {"events": [{"source": "default", "id": f"m-{CANARY}-0"}]}),
    ("GET", f"/v1/rejected/m-{CANARY}-6", None),
    ("GET", "/v1/seen?of=traits&name=email", None),
    ("POST", "/v1/profiles/PROFILE/merge", {"with": f"user_id:u-{CANARY}"}),
    (
        "POST",
        "/v1/profiles/PROFILE/split",
        {"identities": [{"type": "user_id", "value": f"u-{CANARY}"}], "dry_run": True},
    ),
    ("GET", "/v1/profiles/PROFILE/export", None),
    ("GET", f"/v1/profiles/user_id:u-{CANARY}/consent", None),
    ("POST", f"/v1/profiles/user_id:u-{CANARY}/consent", {"consent": {"marketing": False}}),
    ("DELETE", f"/v1/profiles/user_id:u-{CANARY}", {"reason": "tried"}),
    (
        "POST",
        "/v1/privacy/requests",
        {
            "subject_request_id": "r-1",
            "subject_request_type": "erasure",
            "subject_identities": [{"identity_type": "user_id", "identity_value": f"u-{CANARY}"}],
        },
    ),
    ("GET", f"/v1/audit?profile=user_id:u-{CANARY}", None),
    ("POST", "/v1/tokens", {"name": "more", "scopes": ["read", "personal"]}),
)


@pytest.mark.parametrize("case", range(len(ORACLES)))
def test_nobody_finds_a_value_out_by_trying(world: tuple[Server, Client], case: int) -> None:
    server, client = world
    method, path, body = ORACLES[case]
    path = path.replace("PROFILE", client.profile(f"user_id:u-{CANARY}")["profile_id"])
    with httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {masked_token(client)}"}) as http:
        answer = http.request(method, path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert "personal" in answer.json()["detail"]


def test_an_export_is_masked(world: tuple[Server, Client]) -> None:
    server, client = world
    for token, shows in ((TOKEN, True), (masked_token(client), False)):
        environment = {**os.environ, "SIMORGH_API": server.url, "SIMORGH_API_TOKEN": token}
        done = run("export", "profiles", env=environment)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("prf_") >= 2
        assert bool(found_in(done.stdout.replace(f"custom.{CANARY}", ""))) is shows


def test_a_source_says_what_is_personal(world: tuple[Server, Client]) -> None:
    server, client = world
    client.post(
        "/v1/sources",
        {"id": "shop", "not_personal": ["traits.tier", "properties.room"], "personal": ["properties.total"]},
    )
    key = client.post("/v1/sources/shop/keys")["write_key"]
    event = {"userId": "u-tier", "event": "Order Completed", "properties": {"total": 7, "room": "hall", "bed": CANARY}}
    batch = [
        {"type": "identify", "userId": "u-tier", "traits": {"tier": "gold", "mood": CANARY}, "messageId": "t-1"},
        {"type": "track", "messageId": "t-2", **event},
    ]
    sent = client.http.post("/v1/batch", json={"batch": batch}, headers={"authorization": ""}, auth=(key, ""))
    assert sent.status_code == 200
    client.settled()
    profile = client.profile("user_id:u-tier")["profile_id"]
    with httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {masked_token(client)}"}) as http:
        assert http.get(f"/v1/profiles/{profile}").json()["traits"] == {"tier": "gold", "…": "…"}
        [order, _] = http.get(f"/v1/profiles/{profile}/events").json()["items"]
        assert order["properties"] == {"total": "…", "room": "hall", "…": "…"}
        probe = {"rule": {"trait": "tier", "eq": "gold"}}
        assert http.post("/v1/segments/preview", json=probe).json()["count"] == 1
