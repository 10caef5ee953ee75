"""Errors as RFC 9457 problem+json: the one place where the error tree becomes HTTP.

Every body has `type, title, status, detail` and, for clients that read them, `code` and `message`. What a
caller sent is never repeated in it.
"""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

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

_CODE_OF_STATUS = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}


class ProblemReply(JsonReply):
    media_type = CONTENT_TYPE


def problem(
    status: int,
    code: str,
    message: str,
    *,
    errors: list[dict[str, str]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> ProblemReply:
    """One problem body. `errors` lists the parts at fault, each `{"path": JSON pointer, "message"}`."""
    body: dict[str, Any] = problem_body(status, code, message)
    if errors:
        body["errors"] = errors
    return ProblemReply(body, status, headers=headers)


def status_of(error: SimorghError) -> int:
    if isinstance(error, Denied) and error.code == UNAUTHORIZED:
        return 401
    return next((status for kind, status in STATUS_OF if isinstance(error, kind)), 500)


def install(app: FastAPI) -> None:
    """Answer every error of the app, ours and the framework's, as a problem."""
    app.add_exception_handler(SimorghError, _own)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _framework)
    app.add_exception_handler(Exception, _unexpected)


def _own(request: Request, error: Exception) -> ProblemReply:
    assert isinstance(error, SimorghError)
    status = status_of(error)
    if status >= 500 and status != 503:
        logger.error("%s %s: %s", request.method, request.url.path, error.message, exc_info=error)
    errors = [{"path": error.path, "message": error.message}] if isinstance(error, InvalidRule) else None
    return problem(status, error.code, error.message, errors=errors, headers=_headers_of(status, error))


def _headers_of(status: int, error: SimorghError) -> dict[str, str]:
    if status == 401:
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(error, Throttled):
        return {"Retry-After": str(error.seconds)}
    return {"Retry-After": "1"} if status == 503 else {}


def _invalid_request(request: Request, error: Exception) -> ProblemReply:
    assert isinstance(error, RequestValidationError)
    errors = [
        {"path": "".join(f"/{part}" for part in fault["loc"]), "message": str(fault["msg"])} for fault in error.errors()
    ]
    where = ", ".join(fault["path"] for fault in errors)
    return problem(422, "invalid_request", f"The request is not valid at {where}: see errors.", errors=errors)


def _framework(request: Request, error: Exception) -> ProblemReply:
    assert isinstance(error, HTTPException)
    code = _CODE_OF_STATUS.get(error.status_code, "http_error")
    message = error.detail
    if error.status_code in (404, 405) and message == HTTPStatus(error.status_code).phrase:
        message = f"{request.method} on this path is not offered: see /openapi.json for what is."
    return problem(error.status_code, code, message, headers=error.headers)


def _unexpected(request: Request, error: Exception) -> ProblemReply:
    logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return problem(500, "internal", "The request failed here and was logged: report it, retrying may not help.")
