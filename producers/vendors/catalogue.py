"""All connectors, by name."""

from collections.abc import Mapping
from typing import Final

from producers.vendors.brevo import BREVO
from producers.vendors.connector import Connector
from producers.vendors.customerio import CUSTOMERIO
from producers.vendors.ga4 import GA4
from producers.vendors.generic import GENERIC
from producers.vendors.hubspot import HUBSPOT
from producers.vendors.intercom import INTERCOM
from producers.vendors.line import LINE
from producers.vendors.mailchimp import MAILCHIMP
from producers.vendors.mailgun import MAILGUN
from producers.vendors.mailjet import MAILJET
from producers.vendors.meta import META
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
from producers.vendors.surveymonkey import SURVEYMONKEY
from producers.vendors.telegram import TELEGRAM
from producers.vendors.twilio import TWILIO
from producers.vendors.typeform import TYPEFORM
from producers.vendors.whatsapp import WHATSAPP
from producers.vendors.woocommerce import WOOCOMMERCE
from producers.vendors.zendesk import ZENDESK

CONNECTORS: Final[Mapping[str, Connector]] = {
    connector.name: connector
    for connector in (
        BREVO,
        CUSTOMERIO,
        GA4,
        GENERIC,
        HUBSPOT,
        INTERCOM,
        LINE,
        MAILCHIMP,
        MAILGUN,
        MAILJET,
        META,
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
        SURVEYMONKEY,
        TELEGRAM,
        TWILIO,
        TYPEFORM,
        WHATSAPP,
        WOOCOMMERCE,
        ZENDESK,
    )
}
