"""Errors as problem+json: the one place that turns the error tree into HTTP.

Every body has `type, title, status, detail` and, for clients that read them, `code` and `message` (`schemas.problems`).
A caller's values are never repeated, neither in an answer nor in a log line.
"""

import logging
import re
import traceback
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.types import Scope

from profile_api.replies import JsonReply
from schemas.errors import (
    Backpressure,
    Broken,
    Conflict,
    Denied,
    InvalidEvent,
    InvalidInput,
    InvalidRule,
    NotFound,
    SimorghError,
    Throttled,
)
from schemas.problems import CONTENT_TYPE, problem_body
from schemas.wanted import wrong

logger = logging.getLogger(__name__)

UNAUTHORIZED = "unauthorized"
"""The code of a `Denied` without a valid token: 401; any other `Denied` is 403."""

STATUS_OF: tuple[tuple[type[SimorghError], int], ...] = (
    (InvalidEvent, 400),
    (InvalidInput, 422),
    (NotFound, 404),
    (Conflict, 409),
    (Denied, 403),
    (Throttled, 429),
    (Backpressure, 503),
    (Broken, 500),
)
"""The first class that fits gives the status."""

_OF_FRAMEWORK: Final[Mapping[int, tuple[str, str]]] = {
    400: ("invalid_json", "body: wanted JSON in UTF-8, nested moderately, got something else. Correct it."),
    404: ("not_found", "There is nothing at this path: /openapi.json lists what there is."),
    405: ("method_not_allowed", "This path does not offer this method: the header Allow lists those that it does."),
}
"""Status -> code and message of the framework's own refusals, whose texts do not help."""

_CODES: Final[Mapping[int, str]] = {413: "too_large", 415: "unsupported_media_type"}

_PART: Final = re.compile(r"\{[^}]*\}")
_NOWHERE: Final = "(no route)"


class ProblemReply(JsonReply):
    media_type = CONTENT_TYPE


def problem(
    status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None, **more: Any
) -> ProblemReply:
    """One problem; `more` are further members, such as `errors`: the parts at fault, `{"path": JSON pointer,
    "message"}`."""
    return ProblemReply(problem_body(status, code, message, **more), status, headers=headers)


def unexpected() -> ProblemReply:
    return problem(500, "internal", "The request failed here and was logged: report it, retrying may not help.")


def status_of(error: SimorghError) -> int:
    if isinstance(error, Denied) and error.code == UNAUTHORIZED:
        return 401
    return next((status for kind, status in STATUS_OF if isinstance(error, kind)), 500)


def install(app: FastAPI) -> None:
    """Answer every error of ours and of the framework as a problem. `watch` answers all others."""
    app.add_exception_handler(SimorghError, _own)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _framework)


def _own(request: Request, error: Exception) -> ProblemReply:
    assert isinstance(error, SimorghError)
    status = status_of(error)
    if status >= 500 and status != 503:
        said = f"{error.code}: {error.message}; {told(error)}"
        logger.error("%s %s: %s", request.method, route_of(request.scope), said)
    more = {"errors": [{"path": error.path, "message": error.message}]} if isinstance(error, InvalidRule) else {}
    return problem(status, error.code, error.message, headers=_headers_of(status, error), **more)


def _headers_of(status: int, error: SimorghError) -> dict[str, str]:
    if status == 401:
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(error, Throttled):
        return {"Retry-After": str(error.seconds)}
    return {"Retry-After": "1"} if status == 503 else {}


def _invalid_request(request: Request, error: Exception) -> ProblemReply:
    assert isinstance(error, RequestValidationError)
    if any(fault["type"] == "json_invalid" for fault in error.errors()):
        return problem(400, *_OF_FRAMEWORK[400])
    parts = [wrong(fault) for fault in error.errors()]
    errors = [{"path": part.pointer, "message": part.message} for part in parts]
    said = "; ".join(f"{_place(part.path)}: {part.message}" for part in parts[:3])
    others = f"; and {len(parts) - 3} more, see errors" if len(parts) > 3 else ""
    return problem(422, "invalid_request", f"{said}{others}. Correct the request.", errors=errors)


def _place(path: tuple[str | int, ...]) -> str:
    """`body /rule`, `query limit`: the part of a request, and the place in it."""
    place, *inside = path or ("request",)
    if place == "body":
        return f"body {''.join(f'/{part}' for part in inside)}".strip()
    return " ".join(map(str, (place, *inside)))


def _framework(request: Request, error: Exception) -> ProblemReply:
    assert isinstance(error, HTTPException)
    status, headers = error.status_code, dict(error.headers or {})
    if status == 405:
        headers["Allow"] = ", ".join(allowed(request))
    own_words = error.detail != HTTPStatus(status).phrase and status != 400
    if status in _OF_FRAMEWORK and not own_words:
        return problem(status, *_OF_FRAMEWORK[status], headers=headers)
    return problem(status, _CODES.get(status, "http_error"), error.detail, headers=headers)


def allowed(request: Request) -> list[str]:
    """The methods that the path is declared with. The framework names those of the first route that fits, and each
    method is a route of its own; of several paths that fit, such as `/v1/profiles/lookup` and `/v1/profiles/{key}`,
    the one that says most itself is meant."""
    path = request.scope["path"]
    offered: dict[str, set[str]] = {}
    for route in iter_route_contexts(request.app.routes):
        declared: Any = route
        pattern = getattr(route, "path_regex", None)
        if pattern is not None and pattern.match(path):
            offered.setdefault(declared.path_format, set()).update(declared.methods or ())
    most = max(offered, key=lambda template: len(_PART.sub("", template)), default="")
    found = offered.get(most, set())
    return sorted(found | ({"HEAD"} if "GET" in found else set()))


# ---- for the log


def route_of(scope: Scope) -> str:
    """The declared route of a request, such as `/v1/profiles/{key}`: a path may name a customer."""
    return getattr(scope.get("route"), "path_format", None) or _NOWHERE


def told(error: BaseException) -> str:
    """An error's class and where it was raised, innermost first. Never its text, which may quote a caller's value."""
    said = []
    while True:
        frames = reversed(traceback.extract_tb(error.__traceback__)[-6:])
        places = ", ".join(f"{'/'.join(f.filename.rsplit('/', 2)[-2:])}:{f.lineno}" for f in frames)
        said.append(f"{type(error).__name__} at {places or '(nowhere)'}")
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause is None or len(said) == 5:
            return "; because of ".join(said)
        error = cause
