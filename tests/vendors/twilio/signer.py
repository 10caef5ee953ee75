"""Twilio's own recipe, in its words: the address, then each field of the form in alphabetical order."""

import base64
import hmac
from urllib.parse import parse_qs

from producers.vendors.request import VendorRequest

SIGNS_BODIES = True


def sign(request: VendorRequest, secret: str) -> dict[str, str]:
    fields = parse_qs(request.body.decode(), keep_blank_values=True, errors="surrogateescape")
    text = request.url + "".join(name + value for name in sorted(fields) for value in sorted(set(fields[name])))
    made = hmac.digest(secret.encode(), text.encode(errors="surrogateescape"), "sha1")
    return {"x-twilio-signature": base64.b64encode(made).decode()}
