"""SNS signs in the body, with a key whose certificate the collector fetches. The secret names the key."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from producers.vendors.request import VendorRequest

SECRET = "key of SNS"
OTHER_SECRET = "key of another"
NAMES = {"Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")}
OF_SUBSCRIPTIONS = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")


@lru_cache
def key(secret: str) -> RSAPrivateKey:
    return generate_private_key(65537, 2048)


@lru_cache
def certificate(secret: str) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key(secret).public_key())
        .serial_number(7)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=3650))
        .sign(key(secret), SHA256())
    )
    return made.public_bytes(Encoding.PEM)


def seal(request: VendorRequest, secret: str) -> VendorRequest:
    message = json.loads(request.body)
    if isinstance(message, dict):
        kind = message.get("Type")
        names = NAMES.get(kind, OF_SUBSCRIPTIONS) if isinstance(kind, str) else ()
        content = "".join(f"{name}\n{message[name]}\n" for name in names if name in message)
        hash = SHA256() if message.get("SignatureVersion") == "2" else SHA1()
        made = key(secret).sign(content.encode(errors="replace"), PKCS1v15(), hash)
        message["Signature"] = base64.b64encode(made).decode()
    body = json.dumps(message, ensure_ascii=False).encode()
    return replace(request, body=body, certificate=certificate(SECRET))
