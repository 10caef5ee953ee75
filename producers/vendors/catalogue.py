"""All connectors, by name."""

from collections.abc import Mapping
from typing import Final

from producers.vendors.connector import Connector
from producers.vendors.generic import GENERIC
from producers.vendors.intercom import INTERCOM
from producers.vendors.sendgrid import SENDGRID
from producers.vendors.shopify import SHOPIFY
from producers.vendors.square import SQUARE
from producers.vendors.standard import STANDARD
from producers.vendors.stripe import STRIPE
from producers.vendors.zendesk import ZENDESK

CONNECTORS: Final[Mapping[str, Connector]] = {
    connector.name: connector
    for connector in (
        GENERIC,
        INTERCOM,
        SENDGRID,
        SHOPIFY,
        SQUARE,
        STANDARD,
        STRIPE,
        ZENDESK,
    )
}
