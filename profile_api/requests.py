"""What the API takes, with examples: nothing beyond these members is accepted."""

from typing import Any, Literal
from zoneinfo import available_timezones

import orjson
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from identity.normalise import is_region
from profile_api.models.examples import EXAMPLE_RULE, with_example
from profile_api.views import Part
from registry.models import DEFAULT_CAUSES, Budget, Cause, FieldPath
from registry.scopes import Scope
from schemas.catalog import Catalog


class Request(BaseModel):
    @model_validator(mode="before")
    @classmethod
    def _is_plain_json(cls, data: Any) -> Any:
        """Half characters (lone surrogates), numbers beyond 64 bits and deep nesting stop at the door."""
        try:
            orjson.dumps(data)
        except (TypeError, orjson.JSONEncodeError):
            raise ValueError("text in UTF-8, numbers of 64 bits and moderate nesting were wanted") from None
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
    """An event by its name: the source that sent it, and its id there, as `GET /v1/events` shows them."""

    model_config = ConfigDict(extra="forbid")
    source: str = Field(min_length=1, max_length=200)
    id: str = Field(min_length=1, max_length=2000)


class KnownIn(Request):
    model_config = with_example({"events": [{"source": "shop", "id": "m-1"}]}, closed=True)
    events: list[EventName] = Field(max_length=1000)


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
    dry_run: bool = Field(default=False, description="Change nothing; answer which side would keep the profile's id.")


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


class PreviewIn(Request):
    model_config = with_example({"rule": EXAMPLE_RULE}, closed=True)
    rule: dict[str, Any]


class WebhookIn(Request):
    """`secret`: `whsec_` and base64 of 24 to 64 bytes; made here when it is absent."""

    model_config = ConfigDict(extra="forbid", strict=True)
    url: str = Field(min_length=1, max_length=2000, json_schema_extra={"format": "uri"})
    secret: str | None = Field(default=None, max_length=200)


_CAUSES = Field(
    default=list(DEFAULT_CAUSES),
    min_length=1,
    description="Why a profile entered or left. Without it: all that happens to a customer, except a split.",
)


class TriggerIn(Request):
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
        default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", description="Without one, one is made."
    )
    segment: str = Field(min_length=1, max_length=100)
    on: list[Literal["entered", "exited"]] = Field(default=["entered", "exited"], min_length=1)
    causes: list[Cause] = _CAUSES
    webhook: WebhookIn
    enabled: bool = True


class TriggerChange(Request):
    """The secret stays as it is when it is absent."""

    model_config = with_example(
        {
            "segment": "repeat-buyers",
            "on": ["exited"],
            "webhook": {"url": "https://example.com/hooks/simorgh"},
        },
        closed=True,
    )
    id: str | None = None
    segment: str = Field(min_length=1, max_length=100)
    on: list[Literal["entered", "exited"]] = Field(default=["entered", "exited"], min_length=1)
    causes: list[Cause] = _CAUSES
    webhook: WebhookIn
    enabled: bool = True


class TokenIn(Request):
    model_config = with_example({"name": "dashboard", "scopes": ["read", "write"]}, closed=True)
    name: str = Field(default="", max_length=200)
    scopes: list[Scope] = Field(min_length=1, max_length=10)
    expires_at: str | int | None = Field(
        default=None, description="ISO 8601, or ms since 1970. Without it the token never expires."
    )


class RejectedFilter(Request):
    """Rejected events that wait, by one or more of the members but `limit` and `cursor`. `until` is not in."""

    model_config = with_example({"source": "shop", "code": "missing_identifier", "limit": 100}, closed=True)
    source: str = Field(default="", max_length=200)
    code: str = Field(default="", max_length=200)
    since: str | int | None = Field(default=None, description="Received then or later: ISO 8601, or ms since 1970.")
    until: str | int | None = Field(default=None, description="Received earlier: ISO 8601, or ms since 1970.")
    limit: int = Field(default=100, ge=1, le=1000, description="How many at most in this request.")
    cursor: str | None = Field(default=None, max_length=4000, description="`next_cursor` of the answer before.")


class AuditVerifyIn(Request):
    model_config = with_example({"known": "1200:9f86d081884c7d659a2feaa0c55ad015"}, closed=True)
    cursor: str | None = Field(default=None, max_length=900_000, description="`next_cursor` of the answer before.")
    known: str = Field(default="", max_length=100, description="`head` of an earlier check, which must still be there.")


class SourceChange(Request):
    """How events of this source are read. What is left out is as by default: see docs/sending.md.

    `unplanned`: what happens to events whose type is not in the contract; `schema_faults`: to those with a value that
    does not fit. `clock`: whether its time is right. `time_zone` (IANA), `region` (ISO 3166) and `currency` (ISO 4217,
    or IRT for tomans) hold where an event names none. Of the events of one `book` that report one order, that of the
    source with the lowest `trust` counts. `aliases`: names of track events of one's own, with the types that they are.
    `personal` and `not_personal`: fields such as `traits.city` that only the scope `personal` may see, or that all may.
    """

    model_config = with_example({"name": "The shop", "channel": "web", "currency": "EUR", "region": "DE"}, closed=True)
    name: str = Field(default="", max_length=200)
    channel: str = Field(default="web", pattern=r"^[a-z][a-z0-9_]{0,49}$")
    enabled: bool = True
    unplanned: Literal["accept", "reject"] = "accept"
    schema_faults: Literal["accept", "reject"] = "accept"
    allowed_origins: list[str] = Field(default_factory=lambda: ["*"], max_length=100)
    budget: Budget = Field(default_factory=Budget)
    clock: Literal["trusted", "untrusted"] | None = None
    time_zone: str | None = Field(default=None, max_length=100)
    region: str | None = Field(default=None, max_length=2)
    currency: str | None = Field(default=None, pattern=r"^[A-Z]{3}$")
    book: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9_-]{0,99}$")
    trust: int | None = Field(default=None, ge=0, le=1000)
    aliases: dict[str, str] = Field(default_factory=dict, max_length=200)
    personal: list[FieldPath] = Field(default_factory=list, max_length=200)
    not_personal: list[FieldPath] = Field(default_factory=list, max_length=200)

    @field_validator("region")
    @classmethod
    def _is_region(cls, value: str | None) -> str | None:
        if value is not None and not is_region(value):
            raise ValueError("a country as ISO 3166 writes it, such as IR or DE, was wanted")
        return value

    @field_validator("time_zone")
    @classmethod
    def _is_time_zone(cls, value: str | None) -> str | None:
        if value is not None and value not in available_timezones():
            raise ValueError("a time zone of IANA's list, such as Asia/Tehran or UTC, was wanted")
        return value

    @field_validator("aliases")
    @classmethod
    def _are_aliases(cls, value: dict[str, str]) -> dict[str, str]:
        for name, type_ in value.items():
            if not name.strip() or len(name) > 200:
                raise ValueError("names of 1 to 200 characters were wanted")
            event = Catalog.load().by_type(type_[:200])
            if event is None or event.call is not None:
                raise ValueError("types of track events were wanted, such as order.completed: see /v1/schemas")
        return value


class SourceIn(SourceChange):
    model_config = with_example({"id": "shop", "name": "The shop", "channel": "web"}, closed=True)
    id: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,99}$")
