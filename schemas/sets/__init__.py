"""The event sets, one table per file: what the schema files and `docs/events.md` are generated from."""

from typing import Final

from schemas.fields import EventSet
from schemas.sets.b2b import B2B
from schemas.sets.calls import CALLS
from schemas.sets.catalogue import CATALOGUE
from schemas.sets.contacts import CONTACTS, SHIPMENTS
from schemas.sets.deals import DEALS, DOCUMENTS
from schemas.sets.ecommerce import ECOMMERCE
from schemas.sets.email import EMAIL
from schemas.sets.experiments import EXPERIMENTS
from schemas.sets.live_chat import LIVE_CHAT
from schemas.sets.marketing import CAMPAIGNS, IDEAS, MEMBERSHIPS, REFERRALS
from schemas.sets.phone import PHONE
from schemas.sets.sales import LEADS, LOYALTY, PAYMENTS, SUBSCRIPTIONS
from schemas.sets.service import SURVEYS, TICKETS
from schemas.sets.social import CONSENT, SOCIAL

ALL: Final[tuple[EventSet, ...]] = (
    CALLS,
    ECOMMERCE,
    LIVE_CHAT,
    EMAIL,
    PHONE,
    TICKETS,
    SURVEYS,
    IDEAS,
    CONTACTS,
    LEADS,
    DEALS,
    DOCUMENTS,
    PAYMENTS,
    SHIPMENTS,
    SUBSCRIPTIONS,
    LOYALTY,
    MEMBERSHIPS,
    CAMPAIGNS,
    REFERRALS,
    SOCIAL,
    CONSENT,
    CATALOGUE,
    B2B,
    EXPERIMENTS,
)
