"""How requests are read before they are routed, what stands around the app, and what errors say."""

from typing import Any

import pytest

from profile_api.problems import told
from tests.unit.api_world import MakeWorld, World

pytest_plugins = ("tests.unit.api_fixtures",)

PREVIEW = b'{"rule": {"trait": "city", "eq": "Isfahan"}}'


@pytest.mark.parametrize(
    "path", ["/healthz", "/readyz", "/metrics", "/docs", "/v1/status", "/v1/profiles", "/v1/schemas"]
)
def test_head_is_get_without_the_body(world: World, path: str) -> None:
    head, get = world.client.request("HEAD", path), world.client.get(path)
    assert (head.status_code, head.content) == (get.status_code, b"") == (200, b"")
    assert head.headers["content-type"] == get.headers["content-type"]


def test_head_of_a_stream_ends_and_of_what_is_not_there_is_404(world: World) -> None:
    world.registry.declare("segment", "seen", {"rule": {"trait": "city", "eq": "x"}}, "test")
    head = world.client.request("HEAD", "/v1/segments/seen/stream")
    assert (head.status_code, head.content) == (200, b"")
    assert world.client.request("HEAD", "/v1/segments/none").status_code == 404
    assert world.client.request("HEAD", "/v1/profiles/lookup/merge").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PATCH", "/v1/segments", "GET, HEAD, POST"),
        ("POST", "/v1/segments/x", "DELETE, GET, HEAD, PUT"),
        ("DELETE", "/v1/status", "GET, HEAD"),
        ("OPTIONS", "/v1/profiles/lookup", "POST"),
        ("PUT", "/v1/profiles/user_id:a%2Fb/merge", "POST"),
        ("POST", "/v1/profiles/user_id:a%2Fmerge", "DELETE, GET, HEAD"),
        ("POST", "/healthz", "GET, HEAD"),
        ("POST", "/docs", "GET, HEAD"),
    ],
)
def test_a_method_that_is_not_offered_is_answered_with_those_that_are(
    world: World, method: str, path: str, allow: str
) -> None:
    answer = world.client.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allow)
    assert answer.json()["code"] == "method_not_allowed"


@pytest.mark.parametrize(
    "said",
    [None, "application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.x+json",
     "application/x-www-form-urlencoded", "text/plain;charset=UTF-8", ""],
)  # fmt: skip
def test_a_body_is_json_whatever_clients_call_it_by_themselves(world: World, said: str | None) -> None:
    headers = {} if said is None else {"content-type": said}
    answer = world.client.post("/v1/segments/preview", content=PREVIEW, headers=headers)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("said", ["text/xml", "application/xml", "multipart/form-data; boundary=x", "image/png", "x"])
def test_a_body_that_says_it_is_something_else_is_refused_plainly(world: World, said: str) -> None:
    answer = world.client.post("/v1/segments/preview", content=PREVIEW, headers={"content-type": said})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert "application/json" in answer.json()["message"]
    without = world.client.post(
        "/v1/segments/preview", content=PREVIEW, headers={"content-type": said, "authorization": ""}
    )
    assert without.status_code == 401
    assert world.client.get("/v1/status", headers={"content-type": said}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "message"),
    [
        ("POST", "/v1/segments", {},
         "body /id: wanted a value here, got none; body /rule: wanted a value here, got none."),
        ("POST", "/v1/segments", [], "body: wanted an object, got a list."),
        ("POST", "/v1/segments", None, "body: wanted a value here, got none."),
        ("POST", "/v1/segments", {"id": 7, "rule": "x"},
         "body /id: wanted a text, got a number; body /rule: wanted an object, got a text."),
        ("POST", "/v1/segments", {"id": "a", "rule": {}, "extra": 1},
         "body /extra: wanted no member of this name, got one."),
        ("POST", "/v1/tokens", {"scopes": ["root"]},
         "body /scopes/0: wanted 'read', 'write', 'steward', 'admin', 'audit' or 'personal', got another."),
        ("POST", "/v1/tokens", {"scopes": []}, "body /scopes: wanted at least 1 item, got another."),
        ("POST", "/v1/sources", {"id": "a", "enabled": "yes"}, "body /enabled: wanted true or false, got a text."),
        ("GET", "/v1/profiles?limit=many", None, "query limit: wanted a whole number, got another."),
        ("GET", "/v1/profiles?limit=0", None, "query limit: wanted a number of at least 1, got another."),
        ("GET", "/v1/profiles/user_id:x/identities?explain=perhaps", None,
         "query explain: wanted true or false, got another."),
        ("PUT", "/v1/identity-rules", {"default_limit": {"max": 0}},
         "body /default_limit/max: wanted a number of at least 1, got another."),
        ("PUT", "/v1/identity-rules", {"limit": {}}, "body /limit: wanted no member of this name, got one."),
    ],
)  # fmt: skip
def test_a_wrong_request_is_told_in_the_products_words(
    world: World, method: str, path: str, body: Any, message: str
) -> None:
    answer = world.client.request(method, path, json=body) if method != "GET" else world.client.get(path)
    assert answer.status_code == 422
    assert answer.json()["message"] == f"{message} Correct the request."
    assert not {"Input", "should", "valid", "pydantic"} & set(answer.json()["message"].split())


def test_requests_are_counted_by_route_and_no_label_holds_an_identifier(make_world: MakeWorld) -> None:
    world = make_world()
    for path in (
        "/v1/profiles/user_id:sara-the-secret",
        "/v1/profiles/email:sara-the-secret/events",
        "/sara-the-secret",
    ):
        assert world.client.get(path).status_code == 404
    world.client.request("PURGE", "/v1/status")
    world.client.request("HEAD", "/v1/profiles/user_id:sara-the-secret")
    metrics = world.client.get("/metrics").text
    for labels in (
        '{method="GET",route="/v1/profiles/{key}",status="404"} 1.0',
        '{method="GET",route="/v1/profiles/{key}/events",status="404"} 1.0',
        '{method="GET",route="(no route)",status="404"} 1.0',
        '{method="HEAD",route="/v1/profiles/{key}",status="404"} 1.0',
        '{method="other",route="/v1/status",status="405"} 1.0',
    ):
        assert f"simorgh_http_request_seconds_count{labels}" in metrics
    assert "secret" not in metrics


def test_an_error_is_told_by_class_and_place_and_never_by_its_text() -> None:
    try:
        try:
            dict[str, int]()["sara@example.com"]
        except KeyError as error:
            raise ValueError("sara@example.com is no number") from error
    except ValueError as error:
        said = told(error)
    assert said.startswith("ValueError at unit/test_api_framing.py:")
    assert "; because of KeyError at unit/test_api_framing.py:" in said
    assert "sara" not in said
