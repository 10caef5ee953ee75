"""Segment's email events: what happened to an email. `Unsubscribed` is `email.unsubscribed`."""

from typing import Final

from schemas.fields import EventRow, EventSet, fact, identifier, personal, text

_EMAIL: Final = (
    identifier("email_id", "Id of the email."),
    text("email_subject", "Subject line."),
    fact(identifier("campaign_id", "Id of the campaign.")),
    fact(text("campaign_name", "Name of the campaign.")),
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
        EventRow("email.bounced", "Email Bounced", "The email could not be delivered.", _EMAIL),
        EventRow("email.opened", "Email Opened", "The recipient opened the email.", _EMAIL),
        EventRow(
            "email_link.clicked",
            "Email Link Clicked",
            "The recipient followed a link in the email.",
            (*_EMAIL, *_LINK),
        ),
        EventRow("email.marked_as_spam", "Email Marked as Spam", "The recipient marked the email as spam.", _EMAIL),
        EventRow(
            "email.unsubscribed",
            "Unsubscribed",
            "The recipient unsubscribed from one mailing list or from all.",
            (*_EMAIL, *_LIST),
            aliases=("Email Unsubscribed",),
        ),
    ),
)
