"""The API reference at /docs: complete, and nothing in it reaches out of the page."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from profile_api.reference import page
from tests.unit.api_world import World

pytest_plugins = ("tests.unit.api_fixtures",)


class Read(HTMLParser):
    """What a browser would find: elements, their attributes, addresses, ids and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.texts: list[str] = []
        self.styles: list[str] = []
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            elif name in ("href", "src", "action", "data", "poster", "srcset"):
                self.addresses.append(value or "")

    def handle_data(self, data: str) -> None:
        (self.styles if self._inside == "style" else self.texts).append(data)


@pytest.fixture(scope="module")
def html(shared_world: World) -> str:
    answer = shared_world.client.get("/docs", headers={"Authorization": ""})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    return answer.text


def test_nothing_reaches_out_of_the_page(html: str) -> None:
    read = Read(html)
    assert not read.elements & {"script", "iframe", "object", "embed", "link", "img", "base", "form", "svg"}
    assert {address for address in read.addresses if not address.startswith("#")} == {"/openapi.json"}
    assert {name for name in read.attributes if name.startswith("on") or name == "style"} == set()
    assert not re.search(r"@import|url\(|//", "".join(read.styles))


def test_the_policy_allows_the_style_sheet_and_nothing_else(shared_world: World, html: str) -> None:
    headers = shared_world.client.get("/docs").headers
    [style] = Read(html).styles
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    rules = dict(rule.strip().split(" ", 1) for rule in headers["content-security-policy"].split(";"))
    assert rules == {
        "default-src": "'none'",
        "style-src": f"'sha256-{digest}'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert headers["x-content-type-options"] == "nosniff"


def test_every_operation_model_and_parameter_is_there(shared_world: World, html: str) -> None:
    document = shared_world.client.get("/openapi.json").json()
    read = Read(html)
    text = "\n".join(read.texts)
    operations = [(path, one) for path, item in document["paths"].items() for one in item.values()]
    models = document["components"]["schemas"]
    sections = [id for id in read.ids if id != "models"]
    assert len(sections) == len(set(sections)) == len(operations) + len(models)
    assert {address[1:] for address in read.addresses if address.startswith("#") and len(address) > 1} <= set(read.ids)
    for path, operation in operations:
        assert text.count(path) >= 2, path  # in the navigation and as a heading
        assert all(one["name"] in text for one in operation.get("parameters", []))
    assert '-H "Authorization: Bearer $TOKEN"' in text
    assert '"id": "repeat-buyers"' in text
    assert 'curl -X DELETE "$API/v1/segments/$NAME"' in text


def test_the_pages_that_needed_a_network_are_gone(shared_world: World) -> None:
    for path in ("/redoc", "/docs/oauth2-redirect"):
        assert shared_world.client.get(path).status_code == 404
    assert "/docs" not in shared_world.client.get("/openapi.json").json()["paths"]


def test_texts_of_the_document_are_texts() -> None:
    evil = "<script>alert(1)</script>`<img src=x onerror=y>`\"'>"
    schema: dict[str, Any] = {"type": "string", "description": evil, "enum": [evil], "default": evil}
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{evil}"}, "example": {evil: evil}}}
    operation = {
        "tags": [evil],
        "description": evil,
        "parameters": [{"name": evil, "in": evil, "schema": schema, "description": evil}],
        "requestBody": {"content": content},
        "responses": {evil: {"description": evil, "content": content}},
    }
    document = {
        "info": {"title": evil, "version": evil, "description": evil},
        "paths": {f"/{evil}": {"post": operation, "get": {"responses": {}}}},
        "components": {"schemas": {evil: {"description": evil, "properties": {evil: {"type": evil, "maximum": 3}}}}},
    }
    read = Read(page(document))
    assert not read.elements & {"script", "img"}
    assert "onerror" not in read.attributes
    assert {address for address in read.addresses if not address.startswith("#")} == {"/openapi.json"}
    assert "".join(read.texts).count("alert(1)") > 10
