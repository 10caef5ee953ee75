"""The body of every HTTP error, RFC 9457: one form for the collector, the API and the listener below them."""

from http import HTTPStatus

CONTENT_TYPE = "application/problem+json"


def problem_body(status: int, code: str, message: str, **more: object) -> dict[str, object]:
    """`type, title, status, detail` and, for clients that read them, `code` and `message`; `more` are further members.

    `code` is stable; `message` is for people and repeats nothing that a caller sent.
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
