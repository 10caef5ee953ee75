"""Chooses the sender of a trigger. A new kind of destination is a branch here, and another run of the contract."""

import ssl

import httpcore

from destinations.senders.port import OpenSender, Sender
from destinations.senders.webhook import WebhookSender
from registry.guard import Lookup, system_lookup
from registry.models import Trigger
from schemas.clock import Clock


def senders(
    clock: Clock,
    *,
    allow_private: bool,
    lookup: Lookup = system_lookup,
    ssl_context: ssl.SSLContext | None = None,
) -> OpenSender:
    """`allow_private`: webhooks may also be on private addresses, over plain http and on any port."""
    context = ssl_context or httpcore.default_ssl_context()

    def open_sender(trigger: Trigger) -> Sender:
        return WebhookSender(
            trigger.webhook, clock=clock, allow_private=allow_private, lookup=lookup, ssl_context=context
        )

    return open_sender
