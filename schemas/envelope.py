"""The envelope: what a record of `simorgh.events` holds, a CloudEvents 1.0 event in JSON with our attributes.

The door makes it once and nothing recomputes it. The hot path builds and reads plain dicts; these models are
the contract for producers outside and for tests, and `schemas/envelope.v1.json` is generated from them.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_ID: Final = 200
"""Characters of an event id: Segment allows 100, vendors' ids behind a prefix need more."""

_DAY: Final = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_TIME: Final = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z"

Moment = Annotated[str, Field(pattern=f"^{_DAY}T{_TIME}$")]
"""RFC 3339 in UTC with three decimals (`schemas.clock.iso`): as text it sorts by time."""

Hex128 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
"""A 128-bit number: a node, or a profile's founding node."""

ShortText = Annotated[str, Field(min_length=1, max_length=MAX_ID)]

PERSONAL: Final[dict[str, Any]] = {"x-personal": True}


class Contract(BaseModel):
    """Frozen, closed and strict: `"1"` is no number here, and an unknown member is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Identifier(Contract):
    """One identifier of an event. `node` is the keyed hash that everything is stored under."""

    type: ShortText
    value: str = Field(description="As received.", json_schema_extra=PERSONAL)
    normalised: str = Field(description="As compared.", json_schema_extra=PERSONAL)
    normaliser: int = Field(ge=1, description="Version of the normaliser that made it.")
    node: Hex128


class Money(Contract):
    """What an order is worth, exactly."""

    amount: str = Field(
        pattern=r"^-?[0-9]{1,30}(\.[0-9]{1,6})?$",
        description="Decimal text, at most 30 digits before the point and 6 after.",
    )
    currency: str = Field(pattern=r"^([A-Z]{3})?$", description="Three capitals; empty when none was sent.")


class Envelope(Contract):
    """One customer event as the log keeps it. Members that an event does not need are absent, never null."""

    specversion: Literal["1.0"] = "1.0"
    id: ShortText = Field(description="Unique in the workspace; also the key in the log.")
    source: str = Field(pattern=r"^/sources/.+", description="The source that it came by: `/sources/<id>`.")
    type: ShortText = Field(description="Event type, such as `order.completed` or `custom.foo_bar`.")
    time: Moment = Field(description="When it happened, corrected for the sender's clock.")
    subject: str | None = Field(
        default=None, description="The anchor: `type:value`, normalised.", json_schema_extra=PERSONAL
    )
    workspace: ShortText
    channel: ShortText = Field(description="web, email, chat, social, pos, phone, feedback, server, …")
    dataschema: str = Field(pattern=r"^(custom|.+/[1-9][0-9]*)$", description="Type and version, or `custom`.")
    received_at: Moment
    sent_at: Moment | None = Field(default=None, description="When the sender's clock said it was sent.")
    original_time: Moment | None = Field(default=None, description="The time as claimed, if clamped.")
    flags: tuple[str, ...] = Field(default=(), description="`clock_clamped`, `unplanned`, …")
    identifiers: tuple[Identifier, ...] = Field(description="By priority; the first is the anchor.")
    alias: Literal[True] | None = Field(default=None, description="Its links override the user id limit.")
    traits: dict[str, Any] = Field(default={}, description="Of identify only.", json_schema_extra=PERSONAL)
    properties: dict[str, Any] = Field(default={}, description="Checked against `dataschema`.")
    context: dict[str, Any] = Field(default={}, description="Where it was.", json_schema_extra=PERSONAL)
    consent: dict[str, bool | str] | None = Field(default=None, description="By purpose.")
    money: Money | None = None
    name: str | None = Field(default=None, description="The track event's name as sent.")

    def record(self) -> dict[str, Any]:
        """The JSON members of a record: what is absent stays absent."""
        return self.model_dump(mode="json", exclude_none=True)
