"""Who may send to the collector: keys, origins, browsers."""

import pytest

from registry.keys import sha256_hex
from tests.clients.world import KEY, World, basic
from tests.unit.collector_events import BAD, CLOUD, TRACK

pytest_plugins = ("tests.unit.collector_fixtures",)


@pytest.mark.parametrize("headers", [basic(), basic(colon=False), {"Authorization": "basic V1JJVEVfS0VZOg=="}])
def test_the_key_in_the_header(it: World, headers: dict[str, str]) -> None:
    assert it.send("/v1/track", TRACK, headers=headers).status_code == 200


def test_a_key_tells_its_source(it: World) -> None:
    for headers in (basic(), {"Authorization": f"Bearer {KEY}"}):
        assert it.send("/v1/source", b"", method="GET", headers=headers).json() == {"id": "default"}
    for headers in ({}, {"Authorization": "Bearer another"}):
        answer = it.send("/v1/source", b"", method="GET", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "unknown_write_key")


def test_the_key_in_the_body_is_not_kept(it: World) -> None:
    assert it.send("/v1/batch", {"batch": [BAD], "writeKey": KEY}, headers={}).status_code == 200
    assert it.send("/v1/track", {"userId": "u", "writeKey": KEY}, headers={}).status_code == 200
    assert all(KEY not in record["payload"] for record in it.rejected())


def test_the_beacons_key_in_the_query(it: World) -> None:
    answer = it.send("/beacon/v1/batch", {"batch": []}, headers={}, params={"writeKey": KEY})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        basic("other"),
        {"Authorization": "Basic"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic /////w=="},
        {"Authorization": "Bearer x"},
        {"Authorization": "Digest x"},
    ],
)
def test_unknown_senders(it: World, headers: dict[str, str]) -> None:
    for path, body in (("/v1/track", TRACK), ("/v1/track", {**TRACK, "writeKey": 7}), ("/v1/events", CLOUD)):
        answer = it.send(path, body, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        told = answer.json()
        assert (told["status"], told["code"]) == (401, "unknown_write_key")
        assert told["message"] == told["detail"] != ""
    assert it.events() == it.rejected() == []
    counted = it.metrics.get_sample_value(
        "simorgh_collector_requests_refused_total", {"status": "401", "code": "unknown_write_key"}
    )
    assert counted == 3


def test_a_disabled_source(it: World) -> None:
    body = {"enabled": False, "write_key_sha256": [sha256_hex("old")]}
    it.registry.declare("source", "closed", body, by="test")
    answer = it.send("/v1/track", TRACK, headers=basic("old"))
    assert (answer.status_code, answer.json()["code"]) == (404, "source_disabled")


def test_origins(it: World) -> None:
    body = {"allowed_origins": ["https://shop.example"], "write_key_sha256": [sha256_hex("k")]}
    it.registry.declare("source", "strict", body, by="test")
    for origin, status in (("https://shop.example", 200), ("https://evil.example", 403)):
        assert it.send("/v1/track", TRACK, headers={**basic("k"), "Origin": origin}).status_code == status
    assert it.send("/v1/track", TRACK, headers=basic("k")).status_code == 200


# --- Browsers ---


def test_preflight_and_answers_for_any_origin(it: World) -> None:
    for path in ("/v1/t", "/v1/batch", "/v1/events", "/v1/source", f"/v1/projects/{KEY}/settings", "/sourceConfig/"):
        answer = it.send(path, b"", method="OPTIONS", headers={"Origin": "https://shop.example"})
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "*"
        assert {"authorization", "content-type"} <= set(answer.headers["access-control-allow-headers"].split(", "))
    for asked, allowed in (
        ("authorization,rsa-retry-attempt", True),
        ("x\x7f", False),
        ("a" * 1001, False),
        ("a,,b", False),
    ):
        headers = {"Origin": "https://shop.example", "Access-Control-Request-Headers": asked}
        answer = it.send("/v1/t", b"", method="OPTIONS", headers=headers)
        assert (answer.headers["access-control-allow-headers"] == asked) is allowed
    for body in (TRACK, b"{"):
        assert it.send("/v1/t", body).headers["access-control-allow-origin"] == "*"


def test_other_methods_of_the_paths_are_refused(it: World) -> None:
    for path in ("/v1/t", "/v1/batch", "/v1/events"):
        assert it.send(path, b"", method="GET").status_code == 405
    assert it.send("/v1/nowhere", TRACK).status_code == 404


def test_settings_point_back_here(it: World) -> None:
    settings = it.send(f"/v1/projects/{KEY}/settings", b"", method="GET", headers={}).json()
    assert settings["integrations"]["Segment.io"]["apiHost"] == "collector.test/v1"
    assert it.send("/v1/projects/other/settings", b"", method="GET", headers={}).status_code == 404
    for path in ("/sourceConfig", "/sourceConfig/"):
        config = it.send(path, b"", method="GET", headers={}, params={"writeKey": KEY}).json()
        assert (config["source"]["writeKey"], config["source"]["enabled"]) == (KEY, True)
    assert it.send("/v1/m", {"series": []}, headers={}).json() == {"success": True}


def test_only_the_operator_s_own_key_sends_as_another_source(it: World) -> None:
    it.registry.declare("source", "till", {"currency": "IRT", "book": "shop"}, by="test")
    it.registry.declare("source", "files", {"write_key_sha256": [sha256_hex("files")]}, by="test")
    it.registry.trust("local")
    for key, source, status in (
        (KEY, "till", 403),
        ("files", "till", 403),  # a declared source of that name is not the operator
        ("files", "files", 200),
        ("local", "nobody", 404),
        ("local", "till", 200),
    ):
        answer = it.send("/v1/events", CLOUD, headers=basic(key), params={"source": source})
        assert answer.status_code == status, (key, source)
    event = it.events()[-1]
    assert (event["source"], event["flags"]) == ("/sources/till", ["money_uncounted"])
