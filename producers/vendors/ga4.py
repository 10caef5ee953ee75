"""Google Analytics 4: what a server would send to the Measurement Protocol (`/mp/collect`) comes here instead.

Its secret is in the address, and nothing in the body is proven. `user_id` stands for the person, and else the browser's
`client_id`. There are no ids of events: the same event in the same request is the same one.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import orjson

from producers.vendors.connector import Connector, parsed
from producers.vendors.mapping import EventMap, IdentifierField, Meaning, TimeField, VendorEvent, digest_of
from producers.vendors.paths import as_text
from producers.vendors.request import SIGNING, VendorRequest
from producers.vendors.signing import SharedToken
from schemas.errors import Unmappable
from schemas.sets.ga4 import ITEM, NAMES, ONE_ITEM, translated

_MORE: Final = {
    "search": "products.searched",
    "view_search_results": "products.searched",
    "share": "product.shared",
    "join_group": "group.joined",
    "generate_lead": "lead.created",
    "add_shipping_info": "checkout_step.completed",
}
"""Names that mean one of ours only here, where nobody but Google's own clients sends them."""
_PARAMETERS: Final = {
    "products.searched": {"search_term": "query"},
    "product.shared": {"method": "share_via", "item_id": "product_id"},
    "lead.created": {"lead_source": "source"},
    "checkout_step.completed": {"shipping_tier": "shipping_method", "items": "products"},
    "payment_info.entered": {"payment_type": "payment_method"},
}
_NEEDLESS: Final = ("engagement_time_msec", "debug_mode")
_SHARED: Final = (
    "client_id",
    "app_instance_id",
    "user_id",
    "timestamp_micros",
    "user_properties",
    "user_data",
    "consent",
)


def items(request: VendorRequest) -> Sequence[object]:
    """Each event with what all events of the request share, and its id."""
    body = parsed(request)
    events = body.get("events") if isinstance(body, dict) else None
    if not isinstance(body, dict) or not isinstance(events, list):
        raise Unmappable("events: wanted a list, got something else; see the rejected event")
    shared = {name: body[name] for name in _SHARED if name in body}
    whole = digest_of(orjson.dumps(body).decode())
    return [{**shared, "id": f"{whole}:{index}", "event": event} for index, event in enumerate(events)]


MAP: Final = EventMap(
    kind="event.name",
    id=("{id}",),
    otherwise="{kind}",
    time=TimeField(path="event.timestamp_micros|timestamp_micros", unit="us"),
    identifiers=(
        IdentifierField(type="user_id", value="user_id"),
        IdentifierField(type="ga_client", value="client_id"),
        IdentifierField(type="firebase_app", value="app_instance_id"),
        IdentifierField(
            type="email_sha256",
            value="user_data.sha256_email_address.0|user_data.sha256_email_address",
            trust="hint",
        ),
        IdentifierField(
            type="phone_sha256",
            value="user_data.sha256_phone_number.0|user_data.sha256_phone_number",
            trust="hint",
        ),
    ),
    cases={name: Meaning(type=type) for name, type in {**NAMES, **_MORE}.items()},
)


def read(item: object, request: VendorRequest) -> Sequence[VendorEvent]:
    """Events about one product come once for each product in them."""
    (event,) = MAP.read(item, request)
    assert isinstance(item, dict), "MAP.read refuses anything else"
    inside = item["event"].get("params")
    params = inside if isinstance(inside, dict) else {}
    traits = _values(item.get("user_properties"))
    consent = {purpose: said == "GRANTED" for purpose, said in _texts(item.get("consent"))}
    properties = _properties(event.type, {name: one for name, one in params.items() if name not in _NEEDLESS})
    event = msgspec.structs.replace(event, traits=traits, consent=consent, properties=properties)
    products = params.get("items")
    if event.type not in ONE_ITEM or not isinstance(products, list) or len(products) < 2:
        return [event]
    rest = {name: value for name, value in properties.items() if name not in ("items", "value")}
    return [
        msgspec.structs.replace(event, id=f"{event.id}:{index}", properties={**rest, **_product(product)})
        for index, product in enumerate(products)
        if isinstance(product, dict)
    ]


def _properties(type: str, params: Mapping[str, object]) -> dict[str, object]:
    """With our names beside Google's, as for events of a browser."""
    found = dict(translated(type, params))
    for theirs, ours in _PARAMETERS.get(type, {}).items():
        if theirs in params and ours not in found:
            found[ours] = _products(params[theirs]) if theirs == "items" else params[theirs]
    return found


def _products(items: object) -> object:
    return [_product(one) if isinstance(one, dict) else one for one in items] if isinstance(items, list) else items


def _product(item: Mapping[str, object]) -> dict[str, object]:
    return {ITEM.get(name, name): value for name, value in item.items()}


def _values(properties: object) -> dict[str, object]:
    """{"plan": {"value": "gold"}} as {"plan": "gold"}"""
    found = properties if isinstance(properties, dict) else {}
    return {name: one["value"] for name, one in found.items() if isinstance(one, dict) and one.get("value") is not None}


def _texts(consent: object) -> list[tuple[str, str]]:
    found = consent if isinstance(consent, dict) else {}
    return [(purpose, text.upper()) for purpose, said in found.items() if (text := as_text(said)) is not None]


GA4: Final = Connector(
    name="ga4",
    title="Google Analytics 4, Measurement Protocol",
    channel="web",
    verify=SharedToken(query="api_secret"),
    secrets={SIGNING: "what you send as api_secret"},
    map=MAP,
    items=items,
    read=read,
    guessable=True,
)
