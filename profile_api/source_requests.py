"""The API's requests about sources, their vendors and secrets, with examples: unknown members are refused."""

from typing import Any, Literal
from zoneinfo import available_timezones

from pydantic import Field, field_validator

from identity.normalise import is_region
from profile_api.models.examples import with_example
from profile_api.requests import Request
from registry.models import Budget, FieldPath
from schemas.catalog import Catalog


class HearingIn(Request):
    """How a source receives its vendor's webhook: see docs/channels.md. `url`: its address as the vendor has it.
    `topics`: those that are accepted from a shared transport. `hints`: whether identifiers that nobody verified link
    people. `mapping` and `proof`: what the messages of a generic webhook mean, and how they are signed."""

    model_config = with_example({"url": "https://events.example.com/v1/webhooks/square/till"}, closed=True)
    url: str | None = Field(default=None, max_length=2000)
    topics: list[str] = Field(default_factory=list, max_length=100)
    hints: Literal["keep", "link"] = "keep"
    mapping: dict[str, Any] | None = None
    proof: dict[str, Any] | None = None


class SecretIn(Request):
    """A secret that a vendor signs with, or its public key. `use`: what it is for, if the vendor has several."""

    model_config = with_example({"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, closed=True)
    secret: str = Field(min_length=1, max_length=4000)
    use: str = Field(default="signing", pattern=r"^[a-z0-9][a-z0-9_-]{0,99}$")


class SecretChange(SecretIn):
    """The new secret. The others of the same use stay valid for `keep_hours` more."""

    model_config = with_example({"secret": "whsec_g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJE", "keep_hours": 24}, closed=True)
    keep_hours: float = Field(default=24, ge=0, le=24 * 90)


class RecordedRequest(Request):
    """A vendor's request: its headers, and its body as text, JSON or Base64. `received_at`: when it came (now)."""

    model_config = with_example(
        {"headers": {"Content-Type": "application/json"}, "body": '[{"event": "open", "email": "sara@example.com"}]'},
        closed=True,
    )
    method: str = Field(default="POST", max_length=10)
    url: str | None = Field(default=None, max_length=2000)
    headers: dict[str, str] = Field(default_factory=dict, max_length=200)
    query: dict[str, str] = Field(default_factory=dict, max_length=200)
    body: str | None = None
    body_base64: str | None = None
    json_: Any = Field(default=None, alias="json")
    received_at: str | int | None = None


class SourceChange(Request):
    """How events of this source are read. Omitted members get their defaults: see docs/sending.md.

    `unplanned`: whether to accept events whose type is not in the contract; `schema_faults`: whether to accept those
    with a value that does not fit. `addresses`: what is stored of IP addresses. `bots`: whether what bots do
    belongs to people. `clock`: whether to trust its times.
    `time_zone` (IANA), `region` (ISO 3166) and `currency` (ISO 4217, or IRT for tomans) apply if an event names none.
    Of the events of one `book` that report one order, that of the source with the lowest `trust` counts. `aliases`:
    your own names of track events -> event types. `personal` and `not_personal`: fields such as `traits.city` that only
    the scope `personal` sees, or that all see. `vendor`: whose webhook it receives, and `webhook`: how
    (docs/channels.md).
    """

    model_config = with_example({"name": "The shop", "channel": "web", "currency": "EUR", "region": "DE"}, closed=True)
    name: str = Field(default="", max_length=200)
    channel: str = Field(default="web", pattern=r"^[a-z][a-z0-9_]{0,49}$")
    enabled: bool = True
    unplanned: Literal["accept", "reject"] = "accept"
    schema_faults: Literal["accept", "reject"] = "accept"
    allowed_origins: list[str] = Field(default_factory=lambda: ["*"], max_length=100)
    addresses: Literal["shorten", "keep", "drop"] = "shorten"
    bots: Literal["accept", "nobody"] = "accept"
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
    vendor: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9_-]{0,99}$")
    webhook: HearingIn = Field(default_factory=HearingIn)

    @field_validator("region")
    @classmethod
    def _is_region(cls, value: str | None) -> str | None:
        if value is not None and not is_region(value):
            raise ValueError("wanted a country as ISO 3166 writes it, such as IR or DE, got another text")
        return value

    @field_validator("time_zone")
    @classmethod
    def _is_time_zone(cls, value: str | None) -> str | None:
        if value is not None and value not in available_timezones():
            raise ValueError("wanted a time zone of IANA's list, such as Asia/Tehran or UTC, got another text")
        return value

    @field_validator("aliases")
    @classmethod
    def _are_aliases(cls, value: dict[str, str]) -> dict[str, str]:
        for name, type_ in value.items():
            if not name.strip() or len(name) > 200:
                raise ValueError("wanted names of 1 to 200 characters, got another")
            event = Catalog.load().by_type(type_[:200])
            if event is None or event.call is not None:
                raise ValueError("wanted types of track events, such as order.completed, got another; see /v1/schemas")
        return value


class SourceIn(SourceChange):
    model_config = with_example({"id": "shop", "name": "The shop", "channel": "web"}, closed=True)
    id: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,99}$")
