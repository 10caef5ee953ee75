"""The API reference at /docs: one page made of the OpenAPI document, without any script or request to anywhere.

`reference.html` is its template. Its Content-Security-Policy allows nothing but the page's own style sheet, so that no
text of the document, however it came there, can do anything in the reader's browser.
"""

import base64
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

if TYPE_CHECKING:
    from jinja2 import Template

Json = dict[str, Any]

_HERE: Final = Path(__file__).parent
_CSS: Final = (_HERE / "reference.css").read_text(encoding="utf-8")
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
_PART: Final = re.compile(r"\{(\w+)\}")
_NO_TAG: Final = "other"

routes = APIRouter()


@routes.get("/docs", include_in_schema=False)
def reference(request: Request) -> HTMLResponse:
    """Needs no key, like the OpenAPI document that it shows; so it is made once."""
    document, state = request.app.openapi(), request.app.state
    if getattr(state, "reference", (None, ""))[0] is not document:
        state.reference = (document, page(document))
    return HTMLResponse(state.reference[1], headers=HEADERS)


def page(document: Json) -> str:
    """The whole page."""
    models = document.get("components", {}).get("schemas", {})
    tags: dict[str, list[_Operation]] = {}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            tag = str(next(iter(operation.get("tags", ())), _NO_TAG))
            tags.setdefault(tag, []).append(_operation(method.upper(), path, operation, models))
    return _template().render(info=document["info"], tags=tags, models=sorted(models.items()))


def _template() -> "Template":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    made = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters |= {
        "pieces": _CODE.split,  # text, code, text …
        "json": _json,
        "kind": _kind,
        "limits": _limits,
        "name": _name,
        "model_anchor": lambda name: "model-" + re.sub(r"[^A-Za-z0-9]+", "-", name),
    }
    made.globals["css"] = Markup(_CSS)
    return made.get_template("reference.html")


# ---- the parts of the document for the template


@dataclass(frozen=True, slots=True)
class _Answer:
    status: str
    says: str
    schema: Json
    example: str | None


@dataclass(frozen=True, slots=True)
class _Operation:
    method: str
    path: str
    anchor: str
    says: str
    parameters: list[Json]
    body: Json
    """Its schema; empty: none is taken."""
    curl: str
    answers: list[_Answer]


def _operation(method: str, path: str, operation: Json, models: Json) -> _Operation:
    body = _content(operation.get("requestBody", {}))
    return _Operation(
        method,
        path,
        anchor=re.sub(r"[^a-z0-9]+", "-", f"{method} {path}".lower()).strip("-"),
        says=operation.get("description") or operation.get("summary", ""),
        parameters=operation.get("parameters", []),
        body=body.get("schema", {}),
        curl=_curl(method, path, operation, _example(body, models)),
        answers=[_answer(status, response, models) for status, response in operation.get("responses", {}).items()],
    )


def _answer(status: str, response: Json, models: Json) -> _Answer:
    content = _content(response)
    example = _example(content, models)
    shown = example if example is None or isinstance(example, str) else _json(example, orjson.OPT_INDENT_2)
    return _Answer(status, response.get("description", ""), content.get("schema", {}), shown)


def _content(part: Json) -> Json:
    """Schema and example of a body, whichever of its media types names them."""
    found: Json = {}
    for media in part.get("content", {}).values():
        found |= media
    return found


def _example(content: Json, models: Json) -> Any:
    """The example of a body, its own or its model's; None if there is none."""
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
        lines.append("-d '" + _json(example).replace("'", "'\\''") + "'")
    return " \\\n  ".join(lines)


def _json(value: Any, option: int = 0) -> str:
    return orjson.dumps(value, option=option).decode()


def _kind(schema: Json) -> str:
    kind = schema.get("type", "anything")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _limits(schema: Json) -> str:
    words = {"minimum": "≥", "maximum": "≤", "minLength": "length ≥", "maxLength": "length ≤", "default": "default"}
    return ", ".join(f"{word} {_json(schema[name])}" for name, word in words.items() if name in schema)


def _name(reference: str) -> str:
    return reference.rpartition("/")[2]
