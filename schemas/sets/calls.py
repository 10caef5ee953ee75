"""The calls other than track: identify, page, screen, group and alias.

Traits are typed leniently: a trait is kept as the sender's system knows it. Whether an email or a phone
number *identifies* a person is decided by the normalisers, not here.
"""

from typing import Final

from schemas.fields import MAX_TRAITS, EventRow, EventSet, Field, either, fact, identifier, nested, personal, text

_TEXT_OR_NUMBER: Final = ("string", "number")


def _moment(name: str, description: str) -> Field:
    return either(name, _TEXT_OR_NUMBER, f"{description}: a date, or seconds or milliseconds since 1970.")


def _address() -> Field:
    return personal(either("address", ("object", "string"), "Street address, as an object of parts or one text."))


PERSON_TRAITS: Final = (
    _address(),
    personal(either("age", _TEXT_OR_NUMBER, "Age in years.")),
    personal(text("avatar", "URL of a picture of the person.")),
    personal(_moment("birthday", "Day of birth")),
    either("company", ("object", "string"), "The company that the person belongs to, as an object or a name."),
    _moment("createdAt", "When the account was created"),
    _moment("created_at", "Same as createdAt"),
    personal(text("description", "Description of the person.")),
    personal(text("email", "Email address.")),
    personal(text("firstName", "First name.")),
    personal(text("first_name", "Same as firstName.")),
    personal(text("gender", "Gender, as the sender writes it.")),
    personal(identifier("id", "The person's id in the sender's database.")),
    personal(text("lastName", "Last name.")),
    personal(text("last_name", "Same as lastName.")),
    personal(text("name", "Full name.")),
    personal(either("phone", _TEXT_OR_NUMBER, "Phone number.")),
    personal(text("title", "Job title or form of address.")),
    personal(identifier("username", "User name, unique in the sender's system.")),
    personal(text("website", "The person's website.")),
)

GROUP_TRAITS: Final = (
    _address(),
    fact(text("avatar", "URL of the group's logo.")),
    fact(_moment("createdAt", "When the group's account was created")),
    fact(text("description", "Description of the group.")),
    personal(text("email", "Contact email address of the group.")),
    fact(either("employees", _TEXT_OR_NUMBER, "Number of employees, or a range.")),
    fact(identifier("id", "The group's id in the sender's database.")),
    fact(text("industry", "Industry.")),
    fact(text("name", "Name of the group.")),
    personal(either("phone", _TEXT_OR_NUMBER, "Contact phone number of the group.")),
    fact(either("plan", _TEXT_OR_NUMBER, "The group's plan.")),
    fact(text("website", "The group's website.")),
)
"""What is a fact describes the organisation, and stays when the person who told it is forgotten."""

GROUP_TRAITS_FIELD: Final = fact(
    nested("traits", GROUP_TRAITS, "Traits of the group, never of the person.", most=MAX_TRAITS)
)
PARENT: Final = identifier("parent_id", "Id of the account that it is a branch of; null: of none any more.")
PLACE: Final = (
    text("role", "The person's role in the account."),
    personal(
        identifier(
            "reports_to", "Whom the person reports to in the account: a user id, an email address or `type:value`."
        )
    ),
)

# A query string often carries an email address or a search for one's own name, so full URLs are personal; `path` is
# not.
_PAGE: Final = (
    text("name", "Name of the page, given by the sender."),
    text("category", "Category of the page."),
    text("path", "Path of the URL, without the query."),
    personal(text("referrer", "URL of the page before.")),
    personal(text("search", "Query part of the URL.")),
    text("title", "Title of the document."),
    personal(text("url", "Full URL.")),
    either("keywords", ("array", "string"), "Words that describe the page."),
)

_SCREEN: Final = (
    text("name", "Name of the screen, given by the sender."),
    text("category", "Category of the screen."),
)


_GROUP: Final = (
    identifier("group_id", "The group's id."),
    GROUP_TRAITS_FIELD,
    PARENT,
    *PLACE,
)


CALLS: Final = EventSet(
    name="calls",
    title="Calls",
    about="What the SDKs' identify, page, screen, group and alias calls become.",
    events=(
        EventRow(
            "profile.identified",
            None,
            "A person identified themselves (`identify`). This schema applies to `traits`.",
            PERSON_TRAITS,
            most=MAX_TRAITS,
            call="identify",
            applies_to="traits",
        ),
        EventRow("page.viewed", None, "A person viewed a page of a site (`page`).", _PAGE, call="page"),
        EventRow("screen.viewed", None, "A person viewed a screen of an app (`screen`).", _SCREEN, call="screen"),
        EventRow(
            "group.joined",
            None,
            "A person belongs to a group, such as a company (`group`).",
            _GROUP,
            call="group",
        ),
        EventRow(
            "profile.aliased",
            None,
            "Two ids belong to one person (`alias`).",
            (
                personal(identifier("previous_id", "The id used until now.")),
                personal(identifier("user_id", "The id used from now on.")),
            ),
            call="alias",
        ),
    ),
)
