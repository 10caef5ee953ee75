"""The calls that are no track events: identify, page, screen, group and alias.

Traits are typed leniently: a trait is kept as somebody's system knows it, and whether an email or a phone
number *identifies* a person is decided by the normalisers, not here.
"""

from typing import Final

from schemas.fields import MAX_TRAITS, Event, EventSet, Field, either, identifier, nested, personal, text

_TEXT_OR_NUMBER: Final = ("string", "number")


def _moment(name: str, description: str) -> Field:
    return either(name, _TEXT_OR_NUMBER, f"{description}: a date, or seconds or milliseconds since 1970.")


def _address() -> Field:
    return personal(either("address", ("object", "string"), "Street address: an object of parts, or one text."))


PERSON_TRAITS: Final = (
    _address(),
    personal(either("age", _TEXT_OR_NUMBER, "Age in years.")),
    personal(text("avatar", "Address of a picture of the person.")),
    personal(_moment("birthday", "Day of birth")),
    either("company", ("object", "string"), "The company the person belongs to: its fields, or its name."),
    _moment("createdAt", "When the account was made"),
    _moment("created_at", "As createdAt"),
    personal(text("description", "What is said about the person.")),
    personal(text("email", "Email address.")),
    personal(text("firstName", "First name.")),
    personal(text("first_name", "As firstName.")),
    personal(text("gender", "Gender, in the sender's words.")),
    personal(identifier("id", "The person's id in the sender's database.")),
    personal(text("lastName", "Last name.")),
    personal(text("last_name", "As lastName.")),
    personal(text("name", "Full name.")),
    personal(either("phone", _TEXT_OR_NUMBER, "Phone number.")),
    personal(text("title", "Title or position.")),
    personal(identifier("username", "User name, unique in the sender's system.")),
    personal(text("website", "The person's site.")),
)

GROUP_TRAITS: Final = (
    _address(),
    text("avatar", "Address of the group's logo."),
    _moment("createdAt", "When the group's account was made"),
    text("description", "What is said about the group."),
    personal(text("email", "Contact address of the group.")),
    either("employees", _TEXT_OR_NUMBER, "Number of employees, or a range."),
    identifier("id", "The group's id in the sender's database."),
    text("industry", "Branch of trade."),
    text("name", "Name of the group."),
    personal(either("phone", _TEXT_OR_NUMBER, "Contact phone number of the group.")),
    either("plan", _TEXT_OR_NUMBER, "The plan it is on."),
    text("website", "The group's site."),
)

# A query string often carries an email or a search for oneself, so whole addresses are personal; `path` is
# not.
_PAGE: Final = (
    text("name", "Name of the page, given by the sender."),
    text("category", "Category of the page."),
    text("path", "Path of the address, without the query."),
    personal(text("referrer", "Address of the page before.")),
    personal(text("search", "Query part of the address.")),
    text("title", "Title of the document."),
    personal(text("url", "Whole address.")),
    either("keywords", ("array", "string"), "Words that describe the page."),
)

_SCREEN: Final = (
    text("name", "Name of the screen, given by the sender."),
    text("category", "Category of the screen."),
)


_GROUP: Final = (
    identifier("group_id", "The group's id."),
    nested("traits", GROUP_TRAITS, "What is known about the group; never traits of the person.", most=MAX_TRAITS),
)


CALLS: Final = EventSet(
    name="calls",
    title="Calls",
    about="What the SDKs' identify, page, screen, group and alias calls become.",
    events=(
        Event(
            "profile.identified",
            None,
            "Somebody said who they are: identify. This schema holds for `traits`.",
            PERSON_TRAITS,
            most=MAX_TRAITS,
            call="identify",
            applies_to="traits",
        ),
        Event("page.viewed", None, "A page of a site was seen: page.", _PAGE, call="page"),
        Event("screen.viewed", None, "A screen of an app was seen: screen.", _SCREEN, call="screen"),
        Event(
            "group.joined",
            None,
            "A person belongs to a group, such as a company: group.",
            _GROUP,
            call="group",
        ),
        Event(
            "profile.aliased",
            None,
            "Two ids are one person: alias.",
            (
                personal(identifier("previous_id", "The id used until now.")),
                personal(identifier("user_id", "The id used from now on.")),
            ),
            call="alias",
        ),
    ),
)
