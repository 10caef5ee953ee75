"""What all of Meta's webhooks share, WhatsApp's too: the signature, and the challenge by which an address is taken."""

from typing import Final

from producers.vendors.request import SIGNING, Reply, Secrets, VendorRequest
from producers.vendors.signing import Hmac, held, match, unverified

VERIFY_TOKEN: Final = "verify_token"
SECRETS: Final = {SIGNING: "the app's secret", VERIFY_TOKEN: "the verify token that you gave Meta"}
SIGNATURE: Final = Hmac("x-hub-signature-256", encoding="hex", prefix="sha256=")

_LONGEST_CHALLENGE: Final = 200


def challenged(request: VendorRequest, secrets: Secrets) -> Reply | None:
    """Meta asks once, with the verify token, and wants its challenge back. None for what is no GET. Raises
    `Unverified`."""
    if request.method != "GET":
        return None
    match([request.query.get("hub.verify_token", "")], held(secrets, VERIFY_TOKEN))
    challenge = request.query.get("hub.challenge", "")
    if request.query.get("hub.mode") != "subscribe" or not 0 < len(challenge) <= _LONGEST_CHALLENGE:
        raise unverified()
    return Reply(challenge.encode(errors="replace"))
