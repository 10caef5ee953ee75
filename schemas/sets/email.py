"""Segment's email events: what happened to an email. `Unsubscribed` is `email.unsubscribed`.

Those of `_MAIL` are ours: Segment has no names for them.
"""

from typing import Final

from schemas.fields import EventRow, EventSet, either, fact, identifier, money, personal, text

_EMAIL: Final = (
    identifier("email_id", "Id of the email."),
    text("email_subject", "Subject line."),
    fact(identifier("campaign_id", "Id of the campaign.")),
    fact(text("campaign_name", "Name of the campaign.")),
)
_REASON: Final = (
    text("reason", "Reason given by the receiving server or the vendor."),
    fact(text("bounce", "hard: the address accepts no mail; soft: it may accept mail later.")),
)
_MACHINE: Final = (fact(either("machine", ("boolean",), "Whether a program, such as a mail filter, did it.")),)
_MAIL: Final = (
    *_EMAIL,
    identifier("message_id", "Id of the message, as in its header."),
    fact(text("direction", "inbound: the customer wrote; outbound: the company did.")),
    fact(money("cost", "What it cost the company.")),
)
_LINK: Final = (
    identifier("link_id", "Id of the link."),
    # Most tracking links name the recipient in their query.
    personal(text("link_url", "URL that the link leads to.")),
)
_LIST: Final = (
    identifier("list_id", "Id of the mailing list."),
    text("list_name", "Name of the mailing list."),
)

EMAIL: Final = EventSet(
    name="email",
    title="Email",
    about="What happened to an email.",
    events=(
        EventRow("email.delivered", "Email Delivered", "The receiving server accepted the email.", _EMAIL),
        EventRow("email.bounced", "Email Bounced", "The email could not be delivered.", (*_EMAIL, *_REASON)),
        EventRow("email.opened", "Email Opened", "The recipient opened the email.", (*_EMAIL, *_MACHINE)),
        EventRow(
            "email_link.clicked",
            "Email Link Clicked",
            "The recipient followed a link in the email.",
            (*_EMAIL, *_LINK, *_MACHINE),
        ),
        EventRow("email.marked_as_spam", "Email Marked as Spam", "The recipient marked the email as spam.", _EMAIL),
        EventRow(
            "email.unsubscribed",
            "Unsubscribed",
            "The recipient unsubscribed from one mailing list or from all.",
            (*_EMAIL, *_LIST),
            aliases=("Email Unsubscribed",),
        ),
        EventRow(
            "email.subscribed",
            "Email Subscribed",
            "The recipient subscribed to a mailing list, perhaps again.",
            (*_EMAIL, *_LIST),
        ),
        EventRow("email.sent", "Email Sent", "The company sent an email.", _MAIL),
        EventRow(
            "email.received",
            "Email Received",
            "The customer wrote an email to the company.",
            (*_MAIL, personal(text("text", "What the customer wrote."))),
        ),
        EventRow(
            "email.deferred",
            "Email Deferred",
            "The receiving server asked the sender to try again later.",
            (*_MAIL, *_REASON),
        ),
        EventRow("email.dropped", "Email Dropped", "The email was not sent at all.", (*_MAIL, *_REASON)),
    ),
)
