"""Campaigns, referrals, members and donors, ideas, and what customers read to help themselves."""

from typing import Final

from schemas.fields import CURRENCY, EventRow, EventSet, date, either, fact, identifier, money, number, personal, text

_MONEY: Final = (
    fact(money("amount", "Amount, in `currency`.")),
    CURRENCY,
)
_CAMPAIGN: Final = (
    fact(identifier("campaign_id", "Id of the campaign.")),
    fact(text("name", "Name of the campaign.")),
    fact(text("channel", "Channel that it uses, such as email, sms or search.")),
    fact(text("arm", "Variant that the customer was assigned to.")),
    fact(money("cost", "What was spent, in `currency`.")),
    CURRENCY,
)
_REFERRAL: Final = (
    identifier("referral_id", "Id of the referral."),
    personal(identifier("referrer", "Identifier of the customer who recommended, such as an email address.")),
    fact(text("code", "Code or link that was passed on.")),
    fact(identifier("campaign_id", "Id of the campaign.")),
)
_MEMBERSHIP: Final = (
    identifier("membership_id", "Id of the membership."),
    fact(text("level", "Level or kind of the membership.")),
    *_MONEY,
    date("ends_at", "Until when it lasts."),
    fact(text("reason", "Why it ended.")),
)
_GIFT: Final = (
    identifier("donation_id", "Id of the donation or pledge."),
    *_MONEY,
    fact(text("purpose", "What it is given for.")),
    fact(identifier("campaign_id", "Id of the campaign.")),
)
_WORK: Final = (
    identifier("shift_id", "Id of the piece of work."),
    fact(number("minutes", "How long it took.", at_least=0)),
    fact(text("purpose", "What it was done for.")),
)
_IDEA: Final = (
    identifier("idea_id", "Id of the idea."),
    fact(text("topic", "What it is about, in the company's own words.")),
    fact(number("vote", "1 for it, -1 against it.")),
    personal(text("text", "What the customer wrote.")),
)
_ARTICLE: Final = (
    fact(identifier("article_id", "Id of the article or standard answer.")),
    fact(text("topic", "What it is about.")),
    fact(text("locale", "Language that it was read in.")),
    fact(either("helpful", ("boolean", "number", "string"), "Whether the customer found it helpful.")),
    fact(identifier("agent_id", "Id of the agent who used the answer.")),
    identifier("ticket_id", "Id of the ticket that was answered with it."),
)

CAMPAIGNS: Final = EventSet(
    name="campaigns",
    title="Campaigns",
    about="Whom a campaign reached on purpose, whom it left out for comparison, and what it cost.",
    events=(
        EventRow("campaign.started", "Campaign Started", "The campaign began.", _CAMPAIGN),
        EventRow("campaign.ended", "Campaign Ended", "The campaign ended.", _CAMPAIGN),
        EventRow("campaign.cost", "Campaign Cost", "Something was spent on the campaign.", _CAMPAIGN),
        EventRow("campaign.targeted", "Campaign Targeted", "The customer was chosen for the campaign.", _CAMPAIGN),
        EventRow("campaign.held_out", "Campaign Held Out", "The customer was left out, to compare with.", _CAMPAIGN),
    ),
)

REFERRALS: Final = EventSet(
    name="referrals",
    title="Referrals",
    about="Customers who bring customers.",
    events=(
        EventRow("referral.made", "Referral Made", "The customer recommended the company.", _REFERRAL),
        EventRow("referral.converted", "Referral Converted", "Whoever was recommended to became a customer.",
                 _REFERRAL, business_key="referral_id"),
    ),
)  # fmt: skip

MEMBERSHIPS: Final = EventSet(
    name="memberships",
    title="Memberships, donations and volunteers",
    about="What members, donors and volunteers do for an association. None of it is revenue.",
    events=(
        EventRow("membership.started", "Membership Started", "Somebody became a member.", _MEMBERSHIP,
                 business_key="membership_id"),
        EventRow("membership.renewed", "Membership Renewed", "The membership goes on.", _MEMBERSHIP),
        EventRow("membership.ended", "Membership Ended", "The membership ended.", _MEMBERSHIP,
                 business_key="membership_id"),
        EventRow("donation.made", "Donation Made", "Somebody gave money.", _GIFT, business_key="donation_id"),
        EventRow("pledge.made", "Pledge Made", "Somebody promised money.", _GIFT, business_key="donation_id"),
        EventRow("volunteer.worked", "Volunteer Worked", "Somebody worked without pay.", _WORK,
                 business_key="shift_id"),
    ),
)  # fmt: skip

IDEAS: Final = EventSet(
    name="ideas",
    title="Ideas and articles",
    about="What customers propose, and what they read to help themselves.",
    events=(
        EventRow("idea.posted", "Idea Posted", "The customer proposed something.", _IDEA, business_key="idea_id"),
        EventRow("idea.voted", "Idea Voted", "The customer voted on an idea.", _IDEA),
        EventRow("article.viewed", "Article Viewed", "The customer read an article of the help.", _ARTICLE),
        EventRow("article.voted", "Article Voted", "The customer said whether the article helped.", _ARTICLE),
        EventRow("answer.used", "Answer Used", "An agent answered with a standard answer.", _ARTICLE),
    ),
)
