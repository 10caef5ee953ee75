"""Standard Webhooks 1.0.0 signatures, symmetric scheme (`v1`).

The signed content is `{webhook-id}.{webhook-timestamp}.{body}`, under HMAC-SHA256 with the decoded secret.
The timestamp is that of the attempt, so a retry has the same id and another signature.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable
from typing import Final

from schemas.errors import InvalidInput

PREFIX: Final = "whsec_"
MIN_BYTES: Final = 16
MAX_BYTES: Final = 64


def new_secret(random_bytes: Callable[[int], bytes]) -> str:
    """A fresh secret of 32 random bytes in the form that receivers paste into their library."""
    return PREFIX + base64.b64encode(random_bytes(32)).decode()


def secret_key(secret: str) -> bytes:
    """The key bytes of `whsec_<base64>` or plain base64, of 16 to 64 bytes; padding may be missing.

    The standard advises 24 bytes or more.

    Raises `InvalidInput` (code `invalid_webhook_secret`) for anything else: a receiver's library decodes base64, so
    with a secret read as raw text here, no signature would verify there.
    """
    text = secret.removeprefix(PREFIX)
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not MIN_BYTES <= len(key) <= MAX_BYTES:
        raise InvalidInput(
            f"webhook.secret: wanted 'whsec_' and the standard base64 of {MIN_BYTES} to {MAX_BYTES} bytes, "
            f"got {f'{len(key)} bytes' if key else 'something that is not base64'}; "
            "leave the secret out to have one generated",
            code="invalid_webhook_secret",
        )
    return key


def sign(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` header. `timestamp` is in unix seconds; `body` is exactly what is sent."""
    content = b"%s.%d.%s" % (message_id.encode(), timestamp, body)
    digest = hmac.new(key, content, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def signed_headers(key: bytes, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three Standard Webhooks headers of one attempt."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(key, message_id, timestamp, body),
    }
