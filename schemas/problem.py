"""An error as RFC 9457 problem+json: the one form in which every face of the product that speaks HTTP says no."""

from http import HTTPStatus
from typing import Any, Final

MEDIA_TYPE: Final = "application/problem+json"


def problem(status: int, code: str, message: str, **more: Any) -> dict[str, Any]:
    """The members of a problem: `code` and `message` stand beside RFC 9457's own, for clients that read those alone.

    `code` is stable and machine-readable (snake_case). `message` says where, what was wanted, what came and what to
    do, and never holds a value that a caller sent. `more` are further members, such as `errors`.
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
