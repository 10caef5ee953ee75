"""POST, and retry until the server accepts it: servers restart, and report when they are full."""

import random
import time
from collections.abc import Callable, Mapping
from typing import Final

import httpx

from schemas.errors import Backpressure, Denied
from schemas.retry import Pauses

_JSON: Final = {"content-type": "application/json"}
_PAUSES = Pauses(0.2, 10.0)
_PATIENCE_S = 120.0
"""How long one request is retried before the import gives up. It can simply be started again."""


def post(
    client: httpx.Client,
    path: str,
    body: bytes,
    *,
    headers: Mapping[str, str] = _JSON,
    pause: Callable[[float], None] = time.sleep,
    random: Callable[[], float] = random.random,
) -> httpx.Response:
    """The answer, with any status but 401, 403, 429 and 5xx. Blocks.

    Raises `Denied` if the write key is refused, and `Backpressure` if the server is unreachable or full for two
    minutes. The events need ids, so that events that are sent again count once.
    """
    waited, failures = 0.0, 0
    while True:
        failures += 1
        wait = _PAUSES.after(failures, random())
        try:
            response = client.post(path, content=body, headers=headers)
            if response.status_code in (401, 403):
                raise Denied(
                    "sending: wanted a known write key, got one that the server refuses; give a key of this workspace"
                )
            if response.status_code != 429 and response.status_code < 500:
                return response
            wait = max(wait, _retry_after(response))
            what = f"status {response.status_code}"
        except httpx.TransportError as error:
            what = f"no connection ({type(error).__name__})"
        if waited + wait > _PATIENCE_S:
            raise Backpressure(
                f"sending: wanted an answer of the server, got {what} for {waited:.0f} s; start again when it is back"
                " (events that were sent do not count twice)"
            )
        pause(wait)
        waited += wait


def _retry_after(response: httpx.Response) -> float:
    try:
        return float(response.headers.get("retry-after", "0"))
    except ValueError:  # the other form is a date: use the usual delay
        return 0.0
