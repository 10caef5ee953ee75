"""All connectors, by name."""

from collections.abc import Mapping
from typing import Final

from producers.vendors.brevo import BREVO
from producers.vendors.connector import Connector
from producers.vendors.customerio import CUSTOMERIO
from producers.vendors.generic import GENERIC
from producers.vendors.intercom import INTERCOM
from producers.vendors.line import LINE
from producers.vendors.mailgun import MAILGUN
from producers.vendors.mailjet import MAILJET
from producers.vendors.postmark import POSTMARK
from producers.vendors.resend import RESEND
from producers.vendors.sendgrid import SENDGRID
from producers.vendors.ses import SES
from producers.vendors.shopify import SHOPIFY
from producers.vendors.slack import SLACK
from producers.vendors.square import SQUARE
from producers.vendors.standard import STANDARD
from producers.vendors.stripe import STRIPE
from producers.vendors.sunshine import SUNSHINE
from producers.vendors.whatsapp import WHATSAPP
from producers.vendors.zendesk import ZENDESK

CONNECTORS: Final[Mapping[str, Connector]] = {
    connector.name: connector
    for connector in (
        BREVO,
        CUSTOMERIO,
        GENERIC,
        INTERCOM,
        LINE,
        MAILGUN,
        MAILJET,
        POSTMARK,
        RESEND,
        SENDGRID,
        SES,
        SHOPIFY,
        SLACK,
        SQUARE,
        STANDARD,
        STRIPE,
        SUNSHINE,
        WHATSAPP,
        ZENDESK,
    )
}
