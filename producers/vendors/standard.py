"""Anybody who signs by Standard Webhooks 1.0: `{"type", "timestamp", "data"}`. A source may declare another mapping.

The event's type is the sender's own name: one of the catalogue in any spelling, or custom.
"""

from collections.abc import Sequence
from typing import Final

from producers.vendors import generic
from producers.vendors.connector import Connector
from producers.vendors.mapping import EventMap, IdentifierField, TimeField, ValueField, VendorEvent
from producers.vendors.request import SIGNING, VendorRequest
from producers.vendors.signing import StandardWebhooks

MAP: Final = EventMap(
    kind="type",
    otherwise="{kind}",
    id=("{header:webhook-id}", "{header:svix-id}", "{id}"),
    time=TimeField(path="timestamp"),
    identifiers=(
        IdentifierField(type="user_id", value="data.user_id|data.userId|data.customer_id"),
        IdentifierField(type="email", value="data.email|data.customer_email"),
        IdentifierField(type="phone", value="data.phone"),
    ),
    properties={"*": ValueField(path="data")},
)


def read(item: object, request: VendorRequest) -> Sequence[VendorEvent]:
    return generic.read(item, request) if "mapping" in request.settings else MAP.read(item, request)


def items(request: VendorRequest) -> list[object]:
    return generic.items(request) if "mapping" in request.settings else STANDARD.items_by_map(request)


STANDARD: Final = Connector(
    name="standard",
    title="Standard Webhooks",
    channel="server",
    verify=StandardWebhooks(("webhook", "svix")),
    secrets={SIGNING: "the endpoint's secret, whsec_…, or public key, whpk_…"},
    map=MAP,
    items=items,
    read=read,
    keeps=("webhook-id", "svix-id"),
)
