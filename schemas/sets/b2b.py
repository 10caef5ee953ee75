"""Segment's B2B events: accounts, their users and their trials.

`context.groupId` names the account. `Signed Up`, `Signed In` and `Signed Out` name no object. The object is the
user, so they are `user.signed_up`, `user.signed_in` and `user.signed_out`.
"""

from typing import Final

from schemas.fields import EventRow, EventSet, date, email, fact, identifier, personal, text
from schemas.sets.calls import GROUP_TRAITS_FIELD, PARENT, PLACE

_ID: Final = identifier("account_id", "Id of the account, where `context.groupId` does not name it.")
_ACCOUNT: Final = (_ID, fact(text("account_name", "Name of the account.")))
_USERNAME: Final = personal(identifier("username", "User name."))
_SIGN_UP: Final = (
    text("type", "Kind of sign-up, such as invited or organic."),
    personal(text("first_name", "First name.")),
    personal(text("last_name", "Last name.")),
    email("email", "Email address."),
    personal(identifier("phone", "Phone number.")),
    _USERNAME,
    personal(text("title", "Job title or form of address.")),
)
_INVITE: Final = (
    email("invitee_email", "Email address of the person invited."),
    personal(text("invitee_first_name", "First name of the person invited.")),
    personal(text("invitee_last_name", "Last name of the person invited.")),
    text("invitee_role", "Role of the person invited."),
)
_TRIAL: Final = (
    date("trial_start_date", "When the trial starts."),
    date("trial_end_date", "When the trial ends."),
    text("trial_plan_name", "Name of the plan on trial."),
)

B2B: Final = EventSet(
    name="b2b",
    title="B2B",
    about="Accounts, their users and their trials.",
    events=(
        EventRow("account.created", "Account Created", "An account was created.", (*_ACCOUNT, PARENT)),
        EventRow(
            "account.updated",
            "Account Updated",
            "What is known of an account changed. Needs no person.",
            (_ID, GROUP_TRAITS_FIELD, PARENT),
        ),
        EventRow("account.deleted", "Account Deleted", "An account was deleted.", _ACCOUNT),
        EventRow("user.signed_up", "Signed Up", "A user signed up.", _SIGN_UP),
        EventRow("user.signed_in", "Signed In", "A user signed in.", (_USERNAME,)),
        EventRow("user.signed_out", "Signed Out", "A user signed out.", (_USERNAME,)),
        EventRow("invite.sent", "Invite Sent", "A user invited somebody.", _INVITE),
        EventRow(
            "account.added_user",
            "Account Added User",
            "A user joined an account.",
            (_ID, *PLACE),
        ),
        EventRow("account.removed_user", "Account Removed User", "A user left an account.", (_ID,)),
        EventRow("trial.started", "Trial Started", "A trial started.", _TRIAL),
        EventRow("trial.ended", "Trial Ended", "A trial ended.", _TRIAL),
    ),
)
