"""By the proof that the source declares; without one, the secret in a header."""

from producers.vendors.generic import proof_of
from producers.vendors.request import VendorRequest
from producers.vendors.signing import SharedToken, signed_by


def seal(request: VendorRequest, secret: str) -> VendorRequest:
    declared = request.settings.get("proof")
    proof = proof_of(declared) if isinstance(declared, dict) else SharedToken(header="x-webhook-token")
    return signed_by(proof, request, secret)
