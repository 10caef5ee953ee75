"""HubSpot: changes of contacts, tickets and other objects of a CRM, in lists. They carry ids, and one property at most.

Signed with version 3; the older ones are plain hashes that prove less, and are refused. A contact that was deleted for
its owner's privacy is a request for erasure; one that staff deleted is not.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from producers.vendors.connector import Connector, PrivacyRequest, parsed
from producers.vendors.mapping import EventMap, Field, IdentifierField, Meaning, TimeField, ValueField, digest_of
from producers.vendors.paths import as_text
from producers.vendors.request import SIGNING, VendorRequest
from producers.vendors.signing import Hmac, Timestamp
from schemas.errors import Unmappable

_OBJECTS: Final = {"0-1": "contact", "0-2": "company", "0-3": "deal", "0-5": "ticket", "0-7": "product"}
"""Their types, in the newer subscriptions that name all of them `object`."""
_TRAITS: Final = {"firstname": "first_name", "lastname": "last_name", "mobilephone": "phone"}
_COMPANY_TRAITS: Final = {"numberofemployees": "employees"}
_ASSOCIATED: Final = {
    ("contact.associationChange", "CONTACT_TO_COMPANY"): ("fromObjectId", "toObjectId"),
    ("company.associationChange", "COMPANY_TO_CONTACT"): ("toObjectId", "fromObjectId"),
}
"""Where the contact and the company stand in the two messages that tell of one association."""
_JOINED: Final = "contact.companyJoined"
_LEFT: Final = "contact.companyLeft"
_EMAILS: Final = ("email", "work_email")
_PHONES: Final = ("phone", "mobilephone", "hs_whatsapp_phone_number")
_ERASED: Final = "contact.privacyDeletion"


def items(request: VendorRequest) -> Sequence[object]:
    """[{kind, of: HubSpot's event, contact, what its property says: traits, email, phone; contacts that were merged;
    company}]

    The person to be forgotten is named nowhere else in the request.
    """
    events = parsed(request)
    if not isinstance(events, list):
        raise Unmappable("body: wanted a list, got something else; see the rejected event")
    erased = {as_text(one.get("objectId")) for one in events if isinstance(one, dict) and _kind(one) == _ERASED}
    return [_item(one, as_text(one.get("objectId")) in erased) if isinstance(one, dict) else one for one in events]


def _kind(of: Mapping[str, object]) -> str:
    return as_text(of.get("subscriptionType") or of.get("eventType")) or ""


def _item(of: Mapping[str, object], is_erased: bool) -> object:
    kind = _kind(of)
    thing, _, verb = kind.partition(".")
    if thing == "object":
        thing = _OBJECTS.get(str(of.get("objectTypeId")), "object")
    item: dict[str, object] = {"kind": f"{thing}.{verb}" if verb else kind or None, "of": of}
    ends = _ASSOCIATED.get((kind, str(of.get("associationType"))))
    if ends is not None and not is_erased:
        contact, company = (as_text(of.get(end)) for end in ends)
        told = _LEFT if of.get("associationRemoved") is True else _JOINED
        return item | {"kind": told, "contact": contact, "company": company}
    if thing == "company":
        name = as_text(of.get("propertyName"))
        traits = {} if name is None else {_COMPANY_TRAITS.get(name, name): of.get("propertyValue")}
        return item | {"company": as_text(of.get("objectId")), "traits": traits}
    if thing != "contact" or is_erased:
        return item
    item["contact"] = as_text(of.get("objectId"))
    name, value = as_text(of.get("propertyName")), of.get("propertyValue")
    if verb == "propertyChange" and name is not None:
        email, phone = (value if name in names else None for names in (_EMAILS, _PHONES))
        return item | {"traits": {_TRAITS.get(name, name): value}, "email": email, "phone": phone}
    if verb == "merge":
        return item | {"contacts": _merged(of)}
    return item


def _merged(of: Mapping[str, object]) -> list[object]:
    others = of.get("mergedObjectIds")
    return [of.get("newObjectId"), of.get("primaryObjectId"), *(others if isinstance(others, list) else [])]


def privacy(request: VendorRequest) -> Sequence[PrivacyRequest]:
    events = parsed(request)
    return [
        PrivacyRequest(
            "erasure",
            "hubspot-" + digest_of(f"{as_text(one.get('portalId'))}|{contact}")[:16],
            [("hubspot_contact", contact)],
            "Deleted for privacy in HubSpot.",
        )
        for one in (events if isinstance(events, list) else [])
        if isinstance(one, dict) and _kind(one) == _ERASED and (contact := as_text(one.get("objectId")))
    ]


def _text(path: str) -> Field:
    return ValueField(path=path, read="text")


_CONTACT: Final = (IdentifierField(type="hubspot_contact", value="contact", trust="proven"),)
_SOURCE: Final[dict[str, Field]] = {"source": "of.changeSource"}


def _company(member: str) -> dict[str, Field]:
    return {**_SOURCE, member: ValueField(path="company", prefix="hubspot:")}


def _contact(type: str, **properties: Field) -> Meaning:
    return Meaning(type=type, identifiers=_CONTACT, properties={**_SOURCE, **properties})


HUBSPOT: Final = Connector(
    name="hubspot",
    title="HubSpot",
    channel="server",
    verify=Hmac(
        "x-hubspot-signature-v3",
        signed="{method}{url}{body}{timestamp}",
        # nobody says whether a retry after hours has a new time, so none is too old
        timestamp=Timestamp("x-hubspot-request-timestamp", unit="ms", window=None),
    ),
    secrets={SIGNING: "the app's client secret"},
    items=items,
    privacy=privacy,
    map=EventMap(
        kind="kind",
        id=("{of.portalId}:{of.subscriptionId}:{of.eventId}:{of.occurredAt}",),
        rest="of",
        time=TimeField(path="of.occurredAt", unit="ms"),
        cases={
            "contact.creation": _contact("profile.identified"),
            "contact.propertyChange": Meaning(
                type="profile.identified",
                traits={"*": "traits"},
                properties={**_SOURCE, "property": "of.propertyName"},
                identifiers=(
                    *_CONTACT,
                    IdentifierField(type="email", value="email"),
                    IdentifierField(type="phone", value="phone"),
                ),
            ),
            "contact.merge": Meaning(
                type="profile.aliased",
                properties=_SOURCE,
                identifiers=tuple(
                    IdentifierField(type="hubspot_contact", value=_text(f"contacts.{index}"), trust="proven")
                    for index in range(20)
                ),
            ),
            "contact.deletion": _contact("custom.hubspot_contact_deletion"),
            "contact.restore": _contact("custom.hubspot_contact_restore"),
            _ERASED: Meaning(type="custom.hubspot_contact_privacy_deletion"),
            "contact.associationChange": _contact(
                "custom.hubspot_contact_association_change",
                association="of.associationType",
                to_id=_text("of.toObjectId"),
                removed="of.associationRemoved",
            ),
            _JOINED: Meaning(type="group.joined", identifiers=_CONTACT, properties=_company("group_id")),
            _LEFT: Meaning(type="account.removed_user", identifiers=_CONTACT, properties=_company("account_id")),
            "company.creation": Meaning(type="account.updated", properties=_company("account_id")),
            "company.propertyChange": Meaning(
                type="account.updated", properties={**_company("account_id"), "traits": "traits"}
            ),
            "company.deletion": Meaning(type="account.deleted", properties=_company("account_id")),
            "ticket.creation": Meaning(type="ticket.opened", properties={**_SOURCE, "ticket_id": _text("of.objectId")}),
        },
    ),
)
