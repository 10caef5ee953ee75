"""All connectors, by name."""

from collections.abc import Mapping
from typing import Final

from producers.vendors.connector import Connector
from producers.vendors.ga4 import GA4
from producers.vendors.generic import GENERIC
from producers.vendors.hubspot import HUBSPOT
from producers.vendors.mailchimp import MAILCHIMP
from producers.vendors.meta import META
from producers.vendors.sendgrid import SENDGRID
from producers.vendors.stripe import STRIPE
from producers.vendors.surveymonkey import SURVEYMONKEY
from producers.vendors.telegram import TELEGRAM
from producers.vendors.twilio import TWILIO
from producers.vendors.typeform import TYPEFORM
from producers.vendors.woocommerce import WOOCOMMERCE

CONNECTORS: Final[Mapping[str, Connector]] = {
    connector.name: connector
    for connector in (
        GA4,
        GENERIC,
        HUBSPOT,
        MAILCHIMP,
        META,
        SENDGRID,
        STRIPE,
        SURVEYMONKEY,
        TELEGRAM,
        TWILIO,
        TYPEFORM,
        WOOCOMMERCE,
    )
}
