"""All connectors, by name."""

from collections.abc import Mapping
from typing import Final

from producers.vendors.connector import Connector
from producers.vendors.ga4 import GA4
from producers.vendors.generic import GENERIC
from producers.vendors.hubspot import HUBSPOT
from producers.vendors.intercom import INTERCOM
from producers.vendors.mailchimp import MAILCHIMP
from producers.vendors.meta import META
from producers.vendors.sendgrid import SENDGRID
from producers.vendors.shopify import SHOPIFY
from producers.vendors.square import SQUARE
from producers.vendors.standard import STANDARD
from producers.vendors.stripe import STRIPE
from producers.vendors.surveymonkey import SURVEYMONKEY
from producers.vendors.telegram import TELEGRAM
from producers.vendors.twilio import TWILIO
from producers.vendors.typeform import TYPEFORM
from producers.vendors.woocommerce import WOOCOMMERCE
from producers.vendors.zendesk import ZENDESK

CONNECTORS: Final[Mapping[str, Connector]] = {
    connector.name: connector
    for connector in (
        GA4,
        GENERIC,
        HUBSPOT,
        INTERCOM,
        MAILCHIMP,
        META,
        SENDGRID,
        SHOPIFY,
        SQUARE,
        STANDARD,
        STRIPE,
        SURVEYMONKEY,
        TELEGRAM,
        TWILIO,
        TYPEFORM,
        WOOCOMMERCE,
        ZENDESK,
    )
}
