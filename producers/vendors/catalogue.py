"""All connectors, by name."""

from collections.abc import Mapping
from typing import Final

from producers.vendors.connector import Connector
from producers.vendors.generic import GENERIC
from producers.vendors.meta import META
from producers.vendors.sendgrid import SENDGRID
from producers.vendors.stripe import STRIPE
from producers.vendors.telegram import TELEGRAM
from producers.vendors.twilio import TWILIO
from producers.vendors.woocommerce import WOOCOMMERCE

CONNECTORS: Final[Mapping[str, Connector]] = {
    connector.name: connector
    for connector in (
        GENERIC,
        META,
        SENDGRID,
        STRIPE,
        TELEGRAM,
        TWILIO,
        WOOCOMMERCE,
    )
}
