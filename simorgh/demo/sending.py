"""Sends the simulation: the web's batches with the write key, the vendors' webhooks signed as the vendors sign.

The demo is both sides: it declares a source for each vendor, makes its secret, and signs with it.
"""

import secrets
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from privacy.signatures import new_ecdsa_keys
from producers.files.patient import post
from producers.vendors.catalogue import CONNECTORS
from producers.vendors.request import Headers, VendorRequest
from producers.vendors.signing import Ecdsa, Proof, signed_by
from schemas.clock import Clock
from schemas.errors import Broken
from simorgh.demo.channels import DemoRequest

SOURCES: Final[Mapping[str, dict[str, Any]]] = {
    "sendgrid": {"id": "newsletter"},
    # the shop's messenger and help desk verify who is signed in, so what they say of a person links
    "intercom": {"id": "messenger", "webhook": {"hints": "link"}},
    "zendesk": {"id": "help-desk", "webhook": {"hints": "link"}},
    "whatsapp": {"id": "whatsapp"},
    "twilio": {"id": "telephone"},
    "typeform": {"id": "survey"},
}
"""Vendor -> the source that hears it, as declared at `/v1/sources`."""

_SEGMENT: Final = "/v1/batch"


@dataclass
class Posted:
    """The outcomes of the simulated requests. `events`: by vendor; "": those of the web."""

    events: Counter[str] = field(default_factory=Counter)
    rejected: int = 0


@dataclass(frozen=True)
class Hook:
    """A vendor's webhook. `key`: what it signs with."""

    path: str
    url: str
    proof: Proof
    key: str = field(repr=False)

    def headers(self, request: DemoRequest, now: int) -> dict[str, str]:
        """Of the request, signed at `now` (ms)."""
        unsigned = VendorRequest(
            "POST", Headers([("content-type", request.content_type)]), request.body, now, url=self.url
        )
        return dict(signed_by(self.proof, unsigned, self.key).headers.items())


def declare_hooks(api: httpx.Client) -> dict[str, Hook]:
    """Declare a source with a new secret for each vendor, and say how to sign for it. A second run only changes the
    secrets. Raises `Broken`."""
    hooks: dict[str, Hook] = {}
    for vendor, declared in SOURCES.items():
        proof, path = CONNECTORS[vendor].verify, f"/v1/webhooks/{vendor}/{declared['id']}"
        url = str(api.base_url.join(path))
        webhook = {"url": url, **declared.get("webhook", {})}
        _told(api, "/v1/sources", {**declared, "vendor": vendor, "webhook": webhook}, known=True)
        key, secret = new_ecdsa_keys() if isinstance(proof, Ecdsa) else (secrets.token_hex(16),) * 2
        _told(api, f"/v1/sources/{declared['id']}/secrets/rotate", {"secret": secret, "keep_hours": 0})
        hooks[vendor] = Hook(path, url, proof, key)
    return hooks


def _told(api: httpx.Client, path: str, body: dict[str, Any], *, known: bool = False) -> None:
    answer = api.post(path, json=body)
    if answer.status_code != 201 and not (known and answer.status_code == 409):
        raise Broken(f"demo: POST {path}: wanted 201, got {answer.status_code}; see the server's log")


def post_all(
    base_url: str,
    write_key: str,
    hooks: Mapping[str, Hook],
    todo: list[DemoRequest],
    *,
    clock: Clock,
    connections: int,
    progress: Callable[[int], None],
) -> Posted:
    """Send everything over several connections. `progress`: called with the number of events of each answered request.
    Blocks. Raises `SimorghError` if the server refuses the keys or disappears."""
    posted = Posted()
    for request in todo:
        posted.events[request.vendor] += request.events

    def send(request: DemoRequest) -> int:
        hook = hooks[request.vendor] if request.vendor else None
        path, headers = (hook.path, hook.headers(request, clock())) if hook else (_SEGMENT, sdk)
        answer = post(client, path, request.body, headers=headers)
        if not answer.is_success:
            raise Broken(f"demo: POST {path}: wanted 200, got {answer.status_code}; see the server's log")
        progress(request.events)
        return len(answer.json().get("rejected", ())) if "json" in answer.headers["content-type"] else 0

    sdk = {"content-type": "application/json", "authorization": f"Basic {b64encode(f'{write_key}:'.encode()).decode()}"}
    with (
        httpx.Client(base_url=base_url, timeout=60.0) as client,
        ThreadPoolExecutor(connections, thread_name_prefix="demo") as pool,
    ):
        posted.rejected = sum(pool.map(send, todo))
    return posted
