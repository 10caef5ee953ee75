"""Signs a fixture's request as its vendor would: by the vendor's own proof, turned around.

That a proof is the vendor's scheme is shown by `vectors.json` in the folders: public test vectors, signed by others. A
vendor that is odd has a `signer.py` in its folder, with `sign(request, secret) -> headers` (or `seal(request, secret)
-> request`, where the proof is in the body) and, if it needs, `SECRET`; and `SIGNS_BODIES` if its signature is over the
whole body.
"""

import base64
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, derive_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from producers.vendors.connector import Connector
from producers.vendors.request import SIGNING, Headers, Secrets, VendorRequest
from producers.vendors.signing import (
    BasicAuth,
    Ecdsa,
    Hmac,
    OneOf,
    Proof,
    SharedToken,
    SignedPairs,
    StandardWebhooks,
    Timestamp,
    _filled,
    base64_key,
    signature,
)
from schemas.clock import iso

Pairs = dict[str, str]

_ECDSA_KEY = derive_private_key(7, SECP256R1())


def secret_of(connector: Connector, other: bool = False) -> str:
    """The fixtures' secret; `other`: one that does not fit."""
    module = _own(connector)
    if module is not None and hasattr(module, "SECRET"):
        return str(module.OTHER_SECRET if other else module.SECRET)
    text = "another secret" if other else "a secret of the tests"
    proof = _first(connector.verify)
    if isinstance(proof, StandardWebhooks) or (isinstance(proof, Hmac) and proof.key is base64_key):
        return "whsec_" + base64.b64encode(text.encode()).decode()
    if isinstance(proof, Ecdsa):
        key = derive_private_key(8, SECP256R1()) if other else _ECDSA_KEY
        der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return base64.b64encode(der).decode()
    return f"user:{text}" if isinstance(proof, BasicAuth) else text.replace(" ", "-")


def secrets_of(connector: Connector, other: bool = False) -> Secrets:
    return {use: [secret_of(connector, other)] for use in connector.secrets or (SIGNING,)}


def signed(connector: Connector, request: VendorRequest, other: bool = False) -> tuple[Pairs, Pairs]:
    """The headers and the query members that prove the request. `other`: made with a secret that does not fit."""
    secret = secret_of(connector, other)
    module = _own(connector)
    if module is not None and hasattr(module, "sign"):
        return module.sign(request, secret), {}
    if module is not None and hasattr(module, "seal"):
        return {}, {}
    return signed_by(_first(connector.verify), request, secret)


def sealed(connector: Connector, request: VendorRequest, other: bool = False) -> VendorRequest:
    """The request with what proves it. `other`: with a secret that does not fit."""
    module = _own(connector)
    if module is not None and hasattr(module, "seal"):
        made: VendorRequest = module.seal(request, secret_of(connector, other))
        return replace(made, memo={})
    proof, query = signed(connector, request, other)
    headers = Headers((dict(request.headers.items()) | proof).items())
    return replace(request, headers=headers, query={**request.query, **query}, memo={})


def signs_bodies(connector: Connector) -> bool:
    """Whether `signed` signs the whole body."""
    module = _own(connector)
    if module is not None and hasattr(module, "sign"):
        return bool(getattr(module, "SIGNS_BODIES", False))
    return isinstance(_first(connector.verify), (Hmac, SignedPairs, StandardWebhooks, Ecdsa))


def _own(connector: Connector) -> Any:
    name = f"tests.vendors.{connector.name}.signer"
    return import_module(name) if find_spec(f"tests.vendors.{connector.name}") and find_spec(name) else None


def _first(proof: Proof) -> Proof:
    return _first(proof.proofs[0]) if isinstance(proof, OneOf) else proof


def signed_by(proof: Proof, request: VendorRequest, secret: str) -> tuple[Pairs, Pairs]:
    seconds = str(request.received_at // 1000)
    if isinstance(proof, SharedToken):
        header = {_name(proof.header): proof.prefix + secret} if proof.header else {}
        return header, {} if header else {proof.query: secret}
    if isinstance(proof, BasicAuth):
        return {"authorization": "Basic " + base64.b64encode(secret.encode()).decode()}, {}
    if isinstance(proof, SignedPairs):
        content = f"{seconds}.".encode() + request.body
        return {proof.header: f"t={seconds},v1={signature(secret.encode(), content, 'sha256', 'hex')}"}, {}
    if isinstance(proof, StandardWebhooks):
        content = f"msg_1.{seconds}.".encode() + request.body
        made = "v1," + signature(base64_key(secret), content)
        prefix = proof.prefixes[0]
        return {f"{prefix}-id": "msg_1", f"{prefix}-timestamp": seconds, f"{prefix}-signature": made}, {}
    if isinstance(proof, Ecdsa):
        key = _ECDSA_KEY if secret == secret_of_ecdsa() else derive_private_key(8, SECP256R1())
        made = base64.b64encode(key.sign(seconds.encode() + request.body, ECDSA(SHA256()))).decode()
        return {proof.header: made, _name(proof.timestamp.header): seconds}, {}
    assert isinstance(proof, Hmac), "write a signer.py for this vendor"
    at = _stamp(proof.timestamp, request.received_at)
    content = b"".join(_filled(proof.signed, request, at))
    made = proof.prefix + signature(proof.key(secret), content, proof.hash, proof.encoding)
    return {_name(proof.header): made, **({_name(proof.timestamp.header): at} if proof.timestamp else {})}, {}


def secret_of_ecdsa() -> str:
    der = _ECDSA_KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()


def _stamp(timestamp: Timestamp | None, now: int) -> str:
    if timestamp is None:
        return ""
    forms: dict[str, Callable[[], str]] = {
        "s": lambda: str(now // 1000),
        "ms": lambda: str(now),
        "iso": lambda: iso(now),
        "http": lambda: _http_date(now),
    }
    return forms[timestamp.unit]()


def _http_date(now: int) -> str:
    return formatdate(now / 1000, usegmt=True)


def _name(header: str | tuple[str, ...]) -> str:
    return header if isinstance(header, str) else header[0]
