"""The API's requests, with examples: unknown members are refused."""

from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from profile_api.models.examples import EXAMPLE_COMPUTE, EXAMPLE_RULE, with_example
from profile_api.views import Part
from registry.erasures import Returning
from registry.models import DEFAULT_CAUSES, Cause, Default, LawfulBasis
from registry.scopes import Scope


class Request(BaseModel):
    @model_validator(mode="before")
    @classmethod
    def _is_plain_json(cls, data: Any) -> Any:
        """Half characters (lone surrogates), numbers beyond 64 bits and deep nesting stop at the door."""
        try:
            orjson.dumps(data)
        except (TypeError, orjson.JSONEncodeError):
            raise ValueError(
                "wanted text in UTF-8, numbers of 64 bits and moderate nesting, got something else"
            ) from None
        return data


class IdentifierIn(Request):
    model_config = with_example({"type": "email", "value": "sara@example.com"}, closed=True)
    type: str = Field(min_length=1, max_length=100)
    value: str = Field(min_length=1, max_length=2000)


class LookupIn(Request):
    """`identifiers` or `profiles` (ids), or both: up to 1,000 of each."""

    model_config = with_example(
        {"identifiers": [{"type": "user_id", "value": "u42"}], "include": ["traits", "metrics"]}, closed=True
    )
    identifiers: list[IdentifierIn] = Field(default_factory=list, max_length=1000)
    profiles: list[str] = Field(default_factory=list, max_length=1000)
    include: list[Part] | None = None


class EventName(Request):
    """The name of an event: its source and its id, as in `GET /v1/events`."""

    model_config = ConfigDict(extra="forbid")
    source: str = Field(min_length=1, max_length=200)
    id: str = Field(min_length=1, max_length=2000)


class KnownIn(Request):
    model_config = with_example({"events": [{"source": "shop", "id": "m-1"}]}, closed=True)
    events: list[EventName] = Field(max_length=1000)
    contents: bool = Field(default=False, description="Also answer with the digests of the events' contents.")


class MergeIn(Request):
    model_config = with_example(
        {"with": "email:sara@example.com", "reason": "same person, asked by phone"}, closed=True
    )
    with_: str = Field(alias="with", min_length=1, max_length=2100)
    reason: str = Field(default="", max_length=1000)


class SplitIn(Request):
    model_config = with_example(
        {"identities": [{"type": "email", "value": "info@example.com"}], "reason": "a shared mailbox"},
        closed=True,
    )
    identities: list[IdentifierIn] = Field(min_length=1, max_length=1000)
    reason: str = Field(default="", max_length=1000)
    dry_run: bool = Field(
        default=False, description="Change nothing, and return which side would keep the id of the profile."
    )


RETURNING: Final = Field(
    default=None,
    description="What happens to later events that name one of these identities: `refuse` them, or `start_anew`: treat"
    " them as events of a new person. The default is the setting `SIMORGH_RETURNING`.",
)


class EraseIn(Request):
    model_config = with_example({"reason": "asked by email, ticket 4711"}, closed=True)
    reason: Annotated[str, StringConstraints(strip_whitespace=True)] = Field(
        min_length=1, max_length=1000, description="The reason. It is kept on record, so do not name a person in it."
    )
    returning: Returning | None = RETURNING


class EraseManyIn(EraseIn):
    """`keys`: `type:value` or profile ids."""

    model_config = with_example(
        {"keys": ["email:sara@example.com", "user_id:u42"], "reason": "closed accounts, ticket 4712"}, closed=True
    )
    keys: list[Annotated[str, Field(min_length=1, max_length=2200)]] = Field(min_length=1, max_length=1000)


class ReturningIn(Request):
    model_config = with_example({"returning": "start_anew"}, closed=True)
    returning: Returning = Field(
        description="Later events that name one of these identities: `refuse` them, or `start_anew`."
    )


class SubjectIdentity(Request):
    model_config = ConfigDict(extra="allow")
    identity_type: str = Field(min_length=1, max_length=100)
    identity_value: str = Field(min_length=1, max_length=2000)


class PrivacyRequestIn(Request):
    """The members of an OpenGDPR request that are used here; others are ignored."""

    model_config = with_example(
        {
            "subject_request_id": "a7551968-d5d6-44b2-9831-815ac9017798",
            "subject_request_type": "erasure",
            "subject_identities": [{"identity_type": "email", "identity_value": "sara@example.com"}],
        }
    )
    subject_request_id: str = Field(min_length=1, max_length=100)
    subject_request_type: Literal["erasure", "access", "portability"]
    subject_identities: list[SubjectIdentity] = Field(
        min_length=1, max_length=20, description="All of one person; those that nobody has are left out."
    )
    reason: str = Field(default="", max_length=1000)
    returning: Returning | None = RETURNING


class SegmentIn(Request):
    model_config = with_example({"id": "repeat-buyers", "name": "Repeat buyers", "rule": EXAMPLE_RULE}, closed=True)
    id: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,99}$")
    name: str = Field(default="", max_length=200)
    rule: dict[str, Any]


class SegmentChange(Request):
    model_config = with_example({"name": "Repeat buyers", "rule": EXAMPLE_RULE}, closed=True)
    id: str | None = None
    name: str | None = Field(default=None, max_length=200)
    rule: dict[str, Any]


class TraitIn(Request):
    """`compute`: what the trait is made of, see docs/traits.md."""

    model_config = with_example(
        {"id": "orders_90d", "name": "Orders of 90 days", "compute": EXAMPLE_COMPUTE}, closed=True
    )
    id: str = Field(pattern=r"^[a-z][a-z0-9_]{0,99}$")
    name: str = Field(default="", max_length=200)
    compute: dict[str, Any]


class TraitChange(Request):
    model_config = with_example({"name": "Orders of 90 days", "compute": EXAMPLE_COMPUTE}, closed=True)
    id: str | None = None
    name: str | None = Field(default=None, max_length=200)
    compute: dict[str, Any]


class PreviewIn(Request):
    model_config = with_example({"rule": EXAMPLE_RULE}, closed=True)
    rule: dict[str, Any]


class PurposeChange(Request):
    """`default`: what applies to a person who has stated nothing. Without it: `denied` if the lawful basis is consent,
    else `granted`."""

    model_config = with_example(
        {"name": "Newsletters and offers", "lawful_basis": "consent", "default": "denied"}, closed=True
    )
    id: str | None = None
    name: str = Field(default="", max_length=200)
    lawful_basis: LawfulBasis = "consent"
    default: Default | None = None


class PurposeIn(Request):
    model_config = with_example(
        {"id": "marketing", "name": "Newsletters and offers", "lawful_basis": "consent"}, closed=True
    )
    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    name: str = Field(default="", max_length=200)
    lawful_basis: LawfulBasis = "consent"
    default: Default | None = None


class RetentionIn(Request):
    """Events of this `type` and `source` are kept for so many `days`. Leave one out to match any."""

    model_config = with_example({"id": "page-views", "type": "page.viewed", "days": 400}, closed=True)
    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    type: str = Field(default="", max_length=200, description="A type of events, or `rejected` for rejected ones.")
    source: str = Field(default="", max_length=200, description="Id of a source.")
    days: int = Field(ge=1, le=36_500, description="After the time of the event.")


class ConsentIn(Request):
    """What the person allows, by purpose. `at`: when they said so; without it, now. `reason` is kept on record."""

    model_config = with_example({"consent": {"marketing": False}, "reason": "asked by phone"}, closed=True)
    consent: dict[Annotated[str, Field(min_length=1, max_length=200)], bool] = Field(min_length=1, max_length=100)
    reason: str = Field(default="", max_length=1000)
    at: str | int | None = Field(default=None, description="ISO 8601, or ms since 1970.")


class WebhookIn(Request):
    """`secret`: `whsec_` and the base64 of 16 to 64 bytes (use at least 24); generated if absent."""

    model_config = ConfigDict(extra="forbid", strict=True)
    url: str = Field(min_length=1, max_length=2000, json_schema_extra={"format": "uri"})
    secret: str | None = Field(default=None, max_length=200)


_CAUSES = Field(
    default=list(DEFAULT_CAUSES),
    min_length=1,
    description="The causes that call the trigger. Default: event, time, merge, consent and erased.",
)


_PURPOSE = Field(
    default=None,
    max_length=100,
    description="What the receiver uses the data for: it is not called about a person who does not allow that.",
)


class TriggerSettings(Request):
    id: str | None = None
    segment: str = Field(min_length=1, max_length=100)
    on: list[Literal["entered", "exited"]] = Field(default=["entered", "exited"], min_length=1)
    causes: list[Cause] = _CAUSES
    webhook: WebhookIn
    purpose: str | None = _PURPOSE
    enabled: bool = True


class TriggerIn(TriggerSettings):
    model_config = with_example(
        {
            "id": "welcome",
            "segment": "repeat-buyers",
            "on": ["entered"],
            "webhook": {"url": "https://example.com/hooks/simorgh"},
        },
        closed=True,
    )
    id: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", description="Generated if absent."
    )


class TriggerChange(TriggerSettings):
    """An absent secret stays the same."""

    model_config = with_example(
        {
            "segment": "repeat-buyers",
            "on": ["exited"],
            "webhook": {"url": "https://example.com/hooks/simorgh"},
        },
        closed=True,
    )


class TokenIn(Request):
    model_config = with_example({"name": "dashboard", "scopes": ["read", "write"]}, closed=True)
    name: str = Field(default="", max_length=200)
    scopes: list[Scope] = Field(min_length=1, max_length=10)
    expires_at: str | int | None = Field(
        default=None, description="ISO 8601, or ms since 1970. Without it the token never expires."
    )


class RejectedFilter(Request):
    """Selects open rejected events by one or more members, apart from `limit` and `cursor`. `until` is exclusive."""

    model_config = with_example({"source": "shop", "code": "missing_identifier", "limit": 100}, closed=True)
    source: str = Field(default="", max_length=200)
    code: str = Field(default="", max_length=200)
    since: str | int | None = Field(
        default=None, description="Received at this time or later: ISO 8601, or ms since 1970."
    )
    until: str | int | None = Field(default=None, description="Received earlier: ISO 8601, or ms since 1970.")
    limit: int = Field(default=100, ge=1, le=1000, description="The largest number of events in this request.")
    cursor: str | None = Field(default=None, max_length=4000, description="`next_cursor` of the previous answer.")


class AuditVerifyIn(Request):
    model_config = with_example({"known": "1200:9f86d081884c7d659a2feaa0c55ad015"}, closed=True)
    cursor: str | None = Field(default=None, max_length=900_000, description="`next_cursor` of the previous answer.")
    known: str = Field(default="", max_length=100, description="`head` of an earlier check, which must still be there.")
