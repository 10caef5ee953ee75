"""Mailgun signs in the body: the time and the token that stand there."""

import json
from dataclasses import replace
from urllib.parse import parse_qs, urlencode

from producers.vendors.request import VendorRequest
from producers.vendors.signing import signature


def seal(request: VendorRequest, secret: str) -> VendorRequest:
    if request.body[:1] != b"{":
        fields = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        fields["signature"] = made(secret, fields.get("timestamp"), fields.get("token"))
        return replace(request, body=urlencode(fields).encode())
    message = json.loads(request.body)
    proof = message.get("signature")
    if isinstance(proof, dict):
        proof["signature"] = made(secret, proof.get("timestamp"), proof.get("token"))
    return replace(request, body=json.dumps(message, ensure_ascii=False).encode())


def made(secret: str, timestamp: object, token: object) -> str:
    return signature(secret.encode(), f"{timestamp}{token}".encode(errors="replace"), "sha256", "hex")
