"""An error as RFC 9457 problem+json: the form of every error over HTTP."""

from http import HTTPStatus
from typing import Any, Final

CONTENT_TYPE: Final = "application/problem+json"


def problem_body(status: int, code: str, message: str, **more: Any) -> dict[str, Any]:
    """The members of a problem: `code` and `message` stand beside RFC 9457's own, for clients that read those alone.

    `code` is stable and machine-readable (snake_case). `message` has the form `where: wanted this, got that; do this`,
    and never contains a value that a caller sent. `more` are further members, such as `errors`.
    """
    return {
        "type": f"urn:simorgh:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": message,
        "code": code,
        "message": message,
        **more,
    }


def _response(description: str, example: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {CONTENT_TYPE: {"schema": _SCHEMA, "example": example}}}


_SCHEMA: Final = {
    "title": "Problem",
    "description": "An error (RFC 9457). `errors` names the parts of the request at fault by JSON pointer.",
    "type": "object",
    "properties": {
        **{name: {"type": "string"} for name in ("type", "title", "detail", "code", "message")},
        "status": {"type": "integer"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"path": {"type": "string"}, "message": {"type": "string"}},
                "required": ["path", "message"],
            },
        },
    },
    "required": ["type", "title", "status", "detail", "code", "message"],
}

RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    "4XX": _response(
        "The request is wrong: `code` says why, and `errors` where.",
        problem_body(404, "not_found", "No profile has this key."),
    ),
    "5XX": _response(
        "The server failed, or cannot answer now: `code` says why. 503: try again later.",
        problem_body(503, "warehouse_unavailable", "warehouse: the server did not answer; try again later"),
    ),
}
"""The one declaration of problems in OpenAPI: every router of every face takes it as its `responses`."""
