"""Signs a fixture's request as its vendor would: by the `sign` of the connector's own proof.

That a proof is the vendor's scheme is shown by `vectors.json` in the folders: public test vectors, signed by others. A
vendor whose proof only verifies, or is in the body, has a `signer.py` in its folder, with `seal(request, secret) ->
request` and, if it needs, `SECRET` and `OTHER_SECRET`.
"""

import base64
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

from privacy.signatures import new_ecdsa_keys
from producers.vendors.connector import Connector
from producers.vendors.request import SIGNING, Secrets, VendorRequest
from producers.vendors.signing import (
    BasicAuth,
    Ecdsa,
    Hmac,
    OneOf,
    Proof,
    SignedPairs,
    StandardWebhooks,
    base64_key,
    signed_by,
)
from producers.vendors.twilio import TwilioSignature

Pairs = dict[str, str]

_KEYS: Final = {other: new_ecdsa_keys() for other in (False, True)}


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
        return _KEYS[other][1]
    return f"user:{text}" if isinstance(proof, BasicAuth) else text.replace(" ", "-")


def secrets_of(connector: Connector, other: bool = False) -> Secrets:
    return {use: [secret_of(connector, other)] for use in connector.secrets or (SIGNING,)}


def sealed(connector: Connector, request: VendorRequest, other: bool = False) -> VendorRequest:
    """The request with what proves it. `other`: with a secret that does not fit."""
    module, proof = _own(connector), connector.verify
    if module is not None:
        made: VendorRequest = module.seal(request, secret_of(connector, other))
    else:
        made = signed_by(proof, request, _KEYS[other][0] if isinstance(proof, Ecdsa) else secret_of(connector, other))
    return replace(made, memo={})


def proving(connector: Connector, request: VendorRequest) -> Pairs:
    """The headers that prove the request."""
    return {name: value for name, value in sealed(connector, request).headers.items() if not request.headers.get(name)}


def signs_bodies(connector: Connector) -> bool:
    """Whether headers sign the whole body."""
    signing = (Hmac, SignedPairs, StandardWebhooks, Ecdsa, TwilioSignature)
    return _own(connector) is None and isinstance(_first(connector.verify), signing)


def _own(connector: Connector) -> Any:
    name = f"tests.vendors.{connector.name}.signer"
    return import_module(name) if find_spec(f"tests.vendors.{connector.name}") and find_spec(name) else None


def _first(proof: Proof) -> Proof:
    return _first(proof.proofs[0]) if isinstance(proof, OneOf) else proof
