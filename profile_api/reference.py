"""The API reference at /docs: one page made of the OpenAPI document, without any script or request to anywhere.

Its Content-Security-Policy allows nothing but the page's own style sheet, so that no text of the document, however it
came there, can do anything in the reader's browser.
"""

import base64
import hashlib
import re
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

Json = dict[str, Any]

_CSS: Final = Path(__file__).with_name("reference.css").read_text(encoding="utf-8")
_CSS_HASH: Final = base64.b64encode(hashlib.sha256(_CSS.encode()).digest()).decode()

HEADERS: Final = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_CSS_HASH}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_CODE: Final = re.compile(r"`([^`]+)`")
_NAMES: Final = (
    "`$API` stands for this server's address, `$TOKEN` for an API token, `$WRITE_KEY` for a source's key, "
    "`$KEY` and the like for parts of a path."
)
_PART: Final = re.compile(r"\{(\w+)\}")
_NO_TAG: Final = "other"


routes = APIRouter()


@routes.get("/docs", include_in_schema=False)
def reference(request: Request) -> HTMLResponse:
    """Needs no key, like the OpenAPI document that it shows."""
    return HTMLResponse(page(request.app.openapi()), headers=HEADERS)


def page(document: Json) -> str:
    """The whole page."""
    info, tagged = document["info"], _by_tag(document)
    models = document.get("components", {}).get("schemas", {})
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(info['title'])}: API reference</title>\n<style>{_CSS}</style></head><body>",
            *_navigation(info, tagged),
            f"<main><h1>{escape(info['title'])} API</h1>",
            f'<p class="soft">Version {escape(info["version"])} · <a href="/openapi.json">OpenAPI document</a></p>',
            _text(info.get("description", "")),
            _text(_NAMES),
            *(line for tag, operations in tagged.items() for line in _tag(tag, operations, models)),
            '<h2 class="tag" id="models">Models</h2>',
            *(_model(name, schema) for name, schema in sorted(models.items())),
            "</main></body></html>",
        ]
    )


def _by_tag(document: Json) -> dict[str, list[tuple[str, str, Json]]]:
    """Tag -> (method, path, operation), all in the document's order."""
    tagged: dict[str, list[tuple[str, str, Json]]] = {}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            tag = next(iter(operation.get("tags", ())), _NO_TAG)
            tagged.setdefault(str(tag), []).append((method.upper(), path, operation))
    return tagged


def _navigation(info: Json, tagged: dict[str, list[tuple[str, str, Json]]]) -> Iterator[str]:
    yield f'<nav><a class="name" href="#">{escape(info["title"])}</a>'
    for tag, operations in tagged.items():
        yield f"<h2>{escape(tag)}</h2><ul>"
        for method, path, _ in operations:
            yield f'<li><a href="#{_anchor(method, path)}">{_method(method)}<span>{escape(path)}</span></a></li>'
        yield "</ul>"
    yield '<h2><a href="#models">models</a></h2></nav>'


def _tag(tag: str, operations: list[tuple[str, str, Json]], models: Json) -> Iterator[str]:
    yield f'<h2 class="tag">{escape(tag.capitalize())}</h2>'
    for method, path, operation in operations:
        yield f'<section id="{_anchor(method, path)}"><h3>{_method(method)} {escape(path)}</h3>'
        yield _text(operation.get("description") or operation.get("summary", ""))
        yield _parameters(operation.get("parameters", []))
        body = _content(operation.get("requestBody", {}))
        if body.get("schema"):
            yield f"<h4>Body</h4><p>{_type(body['schema'])}</p>"
        yield _block(_curl(method, path, operation, _example(body, models)))
        yield from _responses(operation.get("responses", {}), models)
        yield "</section>"


def _responses(responses: Json, models: Json) -> Iterator[str]:
    for status, response in responses.items():
        content = _content(response)
        kind = f" · {_type(content['schema'])}" if content.get("schema") else ""
        said = f"<code>{escape(status)}</code> {_inline(response.get('description', ''))}{kind}"
        example = _example(content, models)
        if example is None:
            yield f"<p>{said}</p>"
        else:
            yield f"<details><summary>{said}</summary>{_block(_pretty(example))}</details>"


def _content(part: Json) -> Json:
    """Schema and example of a body, whichever of its media types names them."""
    found: Json = {}
    for media in part.get("content", {}).values():
        found |= media
    return found


def _example(content: Json, models: Json) -> Any:
    """The example of a body, its own or its model's; None where there is none."""
    if "example" in content:
        return content["example"]
    schema = content.get("schema", {})
    schema = models.get(_name(schema["$ref"]), {}) if "$ref" in schema else schema
    return next(iter(schema.get("examples", ())), None)


def _curl(method: str, path: str, operation: Json, example: Any) -> str:
    address = _PART.sub(lambda part: "$" + part[1].upper(), path)  # curl takes braces for lists
    lines = ["curl" + ("" if method == "GET" else f" -X {method}") + f' "$API{address}"']
    if operation.get("security"):
        lines.append('-H "Authorization: Bearer $TOKEN"')
    elif method == "POST":  # the collector's
        lines.append('-u "$WRITE_KEY:"')
    if example is not None:
        lines.append("-H 'Content-Type: application/json'")
        lines.append("-d '" + orjson.dumps(example).decode().replace("'", "'\\''") + "'")
    return " \\\n  ".join(lines)


def _parameters(parameters: list[Json]) -> str:
    rows = [
        (
            f"<code>{escape(one['name'])}</code>",
            escape(one["in"]) + (", required" if one.get("required") else ""),
            _type(one.get("schema", {})),
            _inline(one.get("description", "")),
        )
        for one in parameters
    ]
    return _table(("parameter", "in", "type", "meaning"), rows)


def _model(name: str, schema: Json) -> str:
    required = set(schema.get("required", ()))
    rows = [
        (
            f"<code>{escape(field)}</code>",
            _type(one) + ("" if field in required else ' <span class="soft">optional</span>'),
            _inline(one.get("description", "")),
        )
        for field, one in schema.get("properties", {}).items()
    ]
    body = _text(schema.get("description", "")) + _table(("member", "type", "meaning"), rows)
    return f'<section id="{_model_anchor(name)}"><h3>{escape(name)}</h3>{body}</section>'


def _type(schema: Json) -> str:
    """In words, with links to models."""
    if "$ref" in schema:
        name = _name(schema["$ref"])
        return f'<a href="#{_model_anchor(name)}">{escape(name)}</a>'
    if several := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(_type(one) for one in several)
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return " or ".join(f"<code>{escape(orjson.dumps(value).decode())}</code>" for value in values)
    kind = schema.get("type", "anything")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_type(schema['additionalProperties'])}"
    return escape(" or ".join(kind) if isinstance(kind, list) else str(kind)) + _limits(schema)


def _limits(schema: Json) -> str:
    words = {"minimum": "≥", "maximum": "≤", "minLength": "length ≥", "maxLength": "length ≤", "default": "default"}
    said = [f"{word} {orjson.dumps(schema[name]).decode()}" for name, word in words.items() if name in schema]
    return f' <span class="soft">{escape(", ".join(said))}</span>' if said else ""


# --- small pieces


def _table(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Cells are HTML already."""
    if not rows:
        return ""
    head = "".join(f"<th>{title}</th>" for title in titles)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _text(words: str) -> str:
    return "".join(f"<p>{_inline(part)}</p>" for part in words.split("\n\n") if part.strip())


def _inline(words: str) -> str:
    return _CODE.sub(r"<code>\1</code>", escape(words))


def _block(words: str) -> str:
    return f"<pre><code>{escape(words)}</code></pre>"


def _pretty(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def _method(method: str) -> str:
    return f'<span class="method {escape(method.lower())}">{escape(method)}</span>'


def _anchor(method: str, path: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", f"{method} {path}".lower()).strip("-")


def _model_anchor(name: str) -> str:
    return "model-" + re.sub(r"[^A-Za-z0-9]+", "-", name)


def _name(reference: str) -> str:
    return reference.rpartition("/")[2]
