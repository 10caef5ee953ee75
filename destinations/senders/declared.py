"""The `webhook` of a trigger, checked when it is declared."""

import secrets
from collections.abc import Callable

from destinations.senders.signing import new_secret, secret_key
from registry.guard import check_url
from schemas.errors import InvalidInput
from schemas.untyped import JsonObject


def checked_webhook(
    webhook: JsonObject,
    *,
    allow_private: bool,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> dict[str, str]:
    """`{"url", "secret"}` to be stored; a missing secret is generated.

    Raises `InvalidInput` (codes `invalid_webhook`, `invalid_webhook_url`, `invalid_webhook_secret`). The
    host is not looked up: that happens at every connection.
    """
    unknown = sorted(set(webhook) - {"url", "secret"})
    if unknown:
        raise InvalidInput(
            f"webhook: wanted 'url' and 'secret' only, got {len(unknown)} other members; remove them",
            code="invalid_webhook",
        )
    url, secret = webhook.get("url"), webhook.get("secret")
    if not isinstance(url, str):
        raise InvalidInput(
            f"webhook.url: wanted a string, got {type(url).__name__}; give the receiver's URL",
            code="invalid_webhook_url",
        )
    check_url(url, allow_private=allow_private)
    if secret is None:
        secret = new_secret(random_bytes)
    if not isinstance(secret, str):
        raise InvalidInput(
            f"webhook.secret: wanted a string, got {type(secret).__name__}; leave it out to have one generated",
            code="invalid_webhook_secret",
        )
    secret_key(secret)
    return {"url": url, "secret": secret}
