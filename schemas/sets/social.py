"""Social networks, and consent.

A direct message to the company is a chat wherever it is written: it is `live_chat_message.sent`.
"""

from typing import Final

from schemas.fields import EventRow, EventSet, fact, identifier, personal, text

_SOCIAL: Final = (
    fact(text("network", "The network, such as instagram, facebook or telegram.")),
    identifier("post_id", "Id of the post, comment or story."),
    identifier("parent_id", "Id of the item that it answers or belongs to."),
    personal(text("text", "What was written.")),
    personal(text("url", "URL of the post or comment.")),
    identifier("account_id", "Id of the company's own page, account or bot."),
    fact(identifier("campaign_id", "Id of the campaign or advertisement.")),
)

SOCIAL: Final = EventSet(
    name="social",
    title="Social",
    about="What people do in public on social networks. Direct messages are live chat.",
    events=(
        EventRow("social.mentioned", "Social Mentioned", "Somebody mentioned the company.", _SOCIAL),
        EventRow("social.commented", "Social Commented", "Somebody commented on a post.", _SOCIAL),
        EventRow(
            "social.reacted",
            "Social Reacted",
            "Somebody reacted, such as by a like.",
            (*_SOCIAL, fact(text("reaction", "The reaction."))),
        ),
        EventRow("social.followed", "Social Followed", "Somebody started to follow the company.", _SOCIAL),
        EventRow("social.unfollowed", "Social Unfollowed", "Somebody stopped following the company.", _SOCIAL),
    ),
)

_CONSENT: Final = (
    fact(text("purpose", "What is agreed to, such as email, sms, telegram or marketing.")),
    text("method", "How it was stated, such as by a form, a keyword or a block."),
    personal(text("text", "The words that the person agreed to, or wrote.")),
)

CONSENT: Final = EventSet(
    name="consent",
    title="Consent",
    about="What people agree to, beyond single mailing lists (`email.unsubscribed`).",
    events=(
        EventRow("consent.given", "Consent Given", "A person gave consent to a purpose.", _CONSENT),
        EventRow("consent.withdrawn", "Consent Withdrawn", "A person withdrew consent to a purpose.", _CONSENT),
    ),
)
