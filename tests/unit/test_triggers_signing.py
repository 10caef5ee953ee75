"""Our signatures against the public vector and the official library."""

import base64
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook

from destinations.senders.declared import checked_webhook
from destinations.senders.signing import new_secret, secret_key, sign, signed_headers
from schemas.errors import InvalidInput

VECTOR_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
URL = "https://example.com/hook"


def test_the_public_vector() -> None:
    signature = sign(secret_key(VECTOR_SECRET), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("size", [24, 32, 64])
@pytest.mark.parametrize("prefix", ["whsec_", ""])
@pytest.mark.parametrize("padded", [True, False])
def test_the_official_library_agrees(size: int, prefix: str, padded: bool) -> None:
    encoded = base64.b64encode(bytes(range(100, 100 + size))).decode()
    secret = prefix + (encoded if padded else encoded.rstrip("="))
    now = int(datetime.now(UTC).timestamp())
    body = '{"type":"segment.entered","name":"سیمرغ"}'.encode()
    headers = signed_headers(secret_key(secret), "msg_1", now, body)
    assert Webhook(secret).verify(body, headers)["name"] == "سیمرغ"


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "secret",
        "whsec_c2hvcnQ=",
        "whsec_" + "A" * 100,
        "whsec_MfKQ9r8GKYqrTwjUPD8-_PZIo2LaLaSw",
        "päss" * 9,
    ],
)
def test_a_secret_that_no_library_would_decode_alike_is_refused(secret: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        checked_webhook({"url": URL, "secret": secret}, allow_private=False)
    assert raised.value.code == "invalid_webhook_secret"
    assert not secret or secret not in raised.value.message or secret in ("secret", "whsec_")


def test_a_missing_secret_is_made() -> None:
    made = checked_webhook({"url": URL}, allow_private=False, random_bytes=bytes)
    assert made == {"url": URL, "secret": new_secret(bytes)}
    assert secret_key(made["secret"]) == bytes(32)


@pytest.mark.parametrize(
    ("webhook", "code"),
    [
        ({}, "invalid_webhook_url"),
        ({"url": 5}, "invalid_webhook_url"),
        ({"url": "http://example.com/"}, "invalid_webhook_url"),
        ({"url": URL, "secret": 5}, "invalid_webhook_secret"),
        ({"url": URL, "headers": {}}, "invalid_webhook"),
    ],
)
def test_a_webhook_is_checked_when_it_is_declared(webhook: dict[str, object], code: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        checked_webhook(webhook, allow_private=False)
    assert raised.value.code == code
