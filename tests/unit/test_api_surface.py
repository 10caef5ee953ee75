"""What holds for every route: scopes, problems, OpenAPI, documentation."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from profile_api import problems, requests, source_requests
from profile_api.deps import keep
from profile_api.framing import MAX_BODY
from profile_api.models.examples import example_of
from profile_api.problems import STATUS_OF, status_of
from profile_api.routes import add, guarded
from registry.keys import new_token, sha256_hex
from registry.scopes import ALL_SCOPES, Scope
from schemas import errors
from tests.unit.api_world import TOKEN, Client, World

pytest_plugins = ("tests.unit.api_fixtures",)

API_MD = Path(__file__).parents[2] / "docs" / "api.md"
OPEN = {"/healthz", "/readyz", "/metrics"}

# method, path -> the one scope that opens it
SCOPES: dict[tuple[str, str], Scope] = {
    ("GET", "/v1/profiles"): "read",
    ("POST", "/v1/profiles/lookup"): "read",
    ("GET", "/v1/profiles/{key}"): "read",
    ("GET", "/v1/profiles/{key}/events"): "read",
    ("GET", "/v1/profiles/{key}/identities"): "read",
    ("DELETE", "/v1/profiles/{key}"): "steward",
    ("POST", "/v1/privacy/erasures"): "steward",
    ("GET", "/v1/privacy/requests"): "steward",
    ("POST", "/v1/privacy/requests"): "steward",
    ("GET", "/v1/privacy/requests/{id}"): "steward",
    ("POST", "/v1/privacy/requests/{id}/answered"): "steward",
    ("PUT", "/v1/privacy/requests/{id}/returning"): "steward",
    ("GET", "/v1/sources/{name}/secrets"): "admin",
    ("POST", "/v1/sources/{name}/secrets"): "admin",
    ("POST", "/v1/sources/{name}/secrets/rotate"): "admin",
    ("DELETE", "/v1/sources/{name}/secrets/{secret_id}"): "admin",
    ("POST", "/v1/sources/{name}/test"): "admin",
    ("POST", "/v1/profiles/{key}/merge"): "steward",
    ("POST", "/v1/profiles/{key}/split"): "steward",
    ("GET", "/v1/profiles/{key}/consent"): "read",
    ("POST", "/v1/profiles/{key}/consent"): "steward",
    ("GET", "/v1/profiles/{key}/export"): "steward",
    ("GET", "/v1/retentions"): "read",
    ("POST", "/v1/retentions"): "admin",
    ("DELETE", "/v1/retentions/{name}"): "admin",
    ("GET", "/v1/purposes"): "read",
    ("POST", "/v1/purposes"): "admin",
    ("GET", "/v1/purposes/{name}"): "read",
    ("PUT", "/v1/purposes/{name}"): "admin",
    ("DELETE", "/v1/purposes/{name}"): "admin",
    ("GET", "/v1/segments"): "read",
    ("POST", "/v1/segments"): "write",
    ("POST", "/v1/segments/preview"): "read",
    ("GET", "/v1/segments/{name}"): "read",
    ("PUT", "/v1/segments/{name}"): "write",
    ("DELETE", "/v1/segments/{name}"): "write",
    ("GET", "/v1/segments/{name}/members"): "read",
    ("GET", "/v1/segments/{name}/why/{key}"): "read",
    ("GET", "/v1/segments/{name}/stream"): "read",
    ("GET", "/v1/traits"): "read",
    ("POST", "/v1/traits"): "write",
    ("GET", "/v1/traits/{name}"): "read",
    ("PUT", "/v1/traits/{name}"): "write",
    ("DELETE", "/v1/traits/{name}"): "write",
    ("GET", "/v1/traits/{name}/why/{key}"): "read",
    ("GET", "/v1/triggers"): "read",
    ("POST", "/v1/triggers"): "write",
    ("GET", "/v1/triggers/{name}"): "read",
    ("PUT", "/v1/triggers/{name}"): "write",
    ("DELETE", "/v1/triggers/{name}"): "write",
    ("GET", "/v1/triggers/{name}/deliveries"): "read",
    ("GET", "/v1/status"): "read",
    ("GET", "/v1/events"): "read",
    ("GET", "/v1/events/conflicts"): "read",
    ("POST", "/v1/events/known"): "read",
    ("GET", "/v1/accounts"): "read",
    ("GET", "/v1/accounts/{key}"): "read",
    ("GET", "/v1/accounts/{key}/timeline"): "read",
    ("GET", "/v1/accounts/{key}/members"): "read",
    ("GET", "/v1/accounts/{key}/tree"): "read",
    ("GET", "/v1/rejected"): "admin",
    ("GET", "/v1/rejected/{name}"): "admin",
    ("POST", "/v1/rejected/{name}/dismiss"): "admin",
    ("POST", "/v1/rejected/dismiss"): "admin",
    ("POST", "/v1/rejected/retry"): "admin",
    ("POST", "/v1/rejected/{name}/retry"): "admin",
    ("GET", "/v1/seen"): "read",
    ("GET", "/v1/schemas"): "read",
    ("GET", "/v1/schemas/{name}"): "read",
    ("GET", "/v1/sources"): "admin",
    ("POST", "/v1/sources"): "admin",
    ("GET", "/v1/sources/{name}"): "admin",
    ("PUT", "/v1/sources/{name}"): "admin",
    ("DELETE", "/v1/sources/{name}"): "admin",
    ("POST", "/v1/sources/{name}/keys"): "admin",
    ("DELETE", "/v1/sources/{name}/keys/{key_id}"): "admin",
    ("GET", "/v1/tokens"): "admin",
    ("POST", "/v1/tokens"): "admin",
    ("GET", "/v1/tokens/{name}"): "admin",
    ("DELETE", "/v1/tokens/{name}"): "admin",
    ("POST", "/v1/replay"): "admin",
    ("GET", "/v1/replay"): "admin",
    ("GET", "/v1/identity-rules"): "read",
    ("PUT", "/v1/identity-rules"): "admin",
    ("GET", "/v1/audit"): "audit",
    ("POST", "/v1/audit/verify"): "audit",
}


def operations(world: World) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and OpenAPI operation of every route, read from the app itself."""
    for path, item in world.client.get("/openapi.json").json()["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def concrete(path: str) -> str:
    return path.replace("{key}", "user_id:x").replace("{name}", "x").replace("{key_id}", "k")


def test_every_route_has_one_scope_and_no_route_is_forgotten(world: World) -> None:
    assert {(method, path) for method, path, _ in operations(world)} == {
        *SCOPES,
        *(("GET", path) for path in OPEN),
    }


@pytest.mark.parametrize(("method", "path"), SCOPES)
def test_without_a_token_nothing_opens(world: World, method: str, path: str) -> None:
    for header in (
        {"Authorization": ""},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {TOKEN}"},
    ):
        answer = world.client.request(method, concrete(path), headers=header)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.fixture(scope="module")
def tokens(shared_world: World) -> dict[Scope, str]:
    made = {name: new_token() for name in ALL_SCOPES}
    for name, token in made.items():
        shared_world.registry.declare("token", name, {"scopes": [name], "token_sha256": sha256_hex(token)}, "test")
    return made


@pytest.mark.parametrize(("method", "path"), SCOPES)
def test_only_its_scope_and_admin_open_a_route(world: World, tokens: dict[Scope, str], method: str, path: str) -> None:
    for name, token in tokens.items():
        if name in (SCOPES[method, path], "admin"):
            continue  # what it does then is the other tests' affair
        answer = world.client.request(method, concrete(path), headers={"Authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), name


def test_a_route_that_declares_no_scope_is_closed_to_everybody(world: World, portal: Any) -> None:
    app = FastAPI()
    keep(app, world.deps)
    routes = guarded("forgotten")
    routes.add_api_route("/forgotten", lambda: "open")
    add(app, routes)
    problems.install(app)
    assert Client(app, portal).get("/forgotten").status_code == 403


@pytest.mark.parametrize(
    "case",  # method, path, body, status, code
    [
        ("GET", "/nowhere", None, 404, "not_found"),
        ("GET", "/v1/nowhere", None, 404, "not_found"),
        ("GET", "/v1/profiles/", None, 404, "not_found"),
        ("PATCH", "/v1/segments", None, 405, "method_not_allowed"),
        ("DELETE", "/v1/status", None, 405, "method_not_allowed"),
        ("POST", "/v1/segments", b"not json", 400, "invalid_json"),
        ("POST", "/v1/segments", b"", 422, "invalid_request"),
        ("POST", "/v1/segments", b"[]", 422, "invalid_request"),
        ("POST", "/v1/segments", b'{"id":"A b","rule":{}}', 422, "invalid_request"),
        ("POST", "/v1/segments", b'{"id":"a","rule":{},"x":1}', 422, "invalid_request"),
        ("POST", "/v1/profiles/lookup", b'{"profiles":["\\ud800"]}', 422, "invalid_request"),
        ("POST", "/v1/profiles/lookup", b"[" * 100_000, 400, "invalid_json"),
        ("POST", "/v1/segments/preview", b'{"rule":{"trait":"\\ud800","eq":1}}', 422, "invalid_request"),
        (
            "POST",
            "/v1/segments/preview",
            b'{"rule":{"trait":"x","eq":1' + b"0" * 400 + b"}}",
            422,
            "invalid_request",
        ),
        ("POST", "/v1/segments/preview", b'{"rule":{"trait":"x","gt":NaN}}', 422, "invalid_rule"),
        ("POST", "/v1/segments/preview", b'{"rule":{"trait":"x","gt":1e999}}', 422, "invalid_rule"),
        ("POST", "/v1/profiles/lookup", b"x" * (MAX_BODY + 1), 413, "too_large"),
        ("POST", "/v1/rejected/x/retry", b"x" * (MAX_BODY + 1), 413, "too_large"),
    ],
)
def test_every_error_is_a_problem(world: World, case: tuple[str, str, bytes | None, int, str]) -> None:
    method, path, body, status, code = case
    answer = world.client.request(method, path, content=body)
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert set(problem) - {"errors"} == {"type", "title", "status", "detail", "code", "message"}
    assert problem["detail"] == problem["message"]


def test_a_problem_repeats_nothing_that_was_sent(world: World) -> None:
    secret = "sara-the-secret"
    for answer in (
        world.client.get(f"/v1/profiles/email:{secret}"),
        world.client.get(f"/v1/profiles?limit={secret}"),
        world.client.post("/v1/segments", json={"id": f"{secret} {secret}", "rule": secret}),
        world.client.post("/v1/segments/preview", json={"rule": {"trait": secret, "matches": f"({secret}"}}),
        world.client.get(f"/v1/rejected?cursor={secret}"),
    ):
        assert answer.status_code in (404, 422)
        assert secret not in answer.text


def test_what_nobody_expected_is_a_problem_too(make_world: Any) -> None:
    def broken() -> dict[str, Any]:
        raise RuntimeError("a detail of ours")

    answer = make_world(replay=broken).client.post("/v1/replay")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "detail of ours" not in answer.text


def test_every_class_of_the_error_tree_has_a_status() -> None:
    def below(kind: type[errors.SimorghError]) -> Iterator[type[errors.SimorghError]]:
        for child in kind.__subclasses__():
            yield child
            yield from below(child)

    mapped = tuple(kind for kind, _ in STATUS_OF)
    for kind in below(errors.SimorghError):
        if kind.__module__.startswith("producers."):
            continue  # the collector answers for itself
        assert issubclass(kind, mapped), kind
        made = errors.Damaged("t", 0, 0, 0) if kind is errors.Damaged else kind("x")
        assert 400 <= status_of(made) <= 503


def test_openapi_explains_and_shows_every_operation(world: World) -> None:
    for method, path, operation in operations(world):
        name = f"{method} {path}"
        assert len(operation["description"]) > 20, name
        success = next(value for status, value in operation["responses"].items() if status.startswith("2"))
        if "204" not in operation["responses"]:
            assert all("example" in content for content in success["content"].values()), name
        for parameter in operation.get("parameters", []):
            assert parameter.get("description"), f"{name} {parameter['name']}"
        if path not in OPEN:
            assert operation["security"], name
            assert "4XX" in operation["responses"], name


def test_every_request_model_has_an_example_that_is_valid(world: World) -> None:
    for name in ("LookupIn", "MergeIn", "SplitIn", "EraseIn", "PrivacyRequestIn",
                 "SegmentIn", "SegmentChange", "PreviewIn", "TriggerIn",
                 "TriggerChange", "TokenIn", "SourceIn", "SourceChange",
                 "PurposeIn", "PurposeChange", "ConsentIn"):  # fmt: skip
        model = getattr(requests, name, None) or getattr(source_requests, name)
        model.model_validate(example_of(model))


def test_every_route_is_documented_with_curl(world: World) -> None:
    text = API_MD.read_text()
    for method, path, _ in operations(world):
        assert f"`{method} {path}`" in text, f"docs/api.md lacks {method} {path}"
    assert text.count("```sh") >= len(SCOPES) // 2
