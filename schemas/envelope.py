"""The envelope: what a record of `simorgh.events` holds, a CloudEvents 1.0 event in JSON with our attributes.

The door makes it once and nothing recomputes it. The hot path builds and reads plain dicts; these models are
the contract for producers outside and for tests, and `schemas/envelope.v2.json` is generated from them.
`docs/envelope.md` says why each member is there.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_ID: Final = 200
"""Characters of an event id: Segment allows 100, vendors' ids behind a prefix need more."""

_DAY: Final = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_TIME: Final = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z"

MOMENT: Final = f"^{_DAY}T{_TIME}$"
HEX128: Final = r"^[0-9a-f]{32}$"

Moment = Annotated[str, Field(pattern=MOMENT)]
"""RFC 3339 in UTC with three decimals (`schemas.clock.iso`): as text it sorts by time."""

Hex128 = Annotated[str, Field(pattern=HEX128)]
"""A 128-bit number: a node, or a profile's founding node."""

ShortText = Annotated[str, Field(min_length=1, max_length=MAX_ID)]

PERSONAL: Final[dict[str, Any]] = {"x-personal": True}


class Contract(BaseModel):
    """Frozen, closed and strict: `"1"` is no number here, and an unknown member is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Identifier(Contract):
    """One identifier of an event. `node` is the keyed hash that everything is stored under."""

    type: ShortText
    value: str | None = Field(default=None, description="As received. Absent where sealed.", json_schema_extra=PERSONAL)
    normalised: str | None = Field(
        default=None, description="As compared. Absent where sealed.", json_schema_extra=PERSONAL
    )
    normaliser: int = Field(ge=1, description="Version of the normaliser that made it.")
    node: Hex128
    trust: Literal["hint"] | None = Field(
        default=None, description="`hint`: kept and shown, but it links nobody. Absent: it links."
    )


class Money(Contract):
    """What an order is worth, exactly."""

    amount: str = Field(
        pattern=r"^-?[0-9]{1,30}(\.[0-9]{1,6})?$",
        description="Decimal text, at most 30 digits before the point and 6 after.",
    )
    currency: str = Field(pattern=r"^([A-Z]{3})?$", description="Three capitals; empty where it is not known.")


class Business(Contract):
    """The fact that an event tells, for recognising one fact that is told twice."""

    book: ShortText = Field(description="Of the source, by default its id: tellings are to be compared within a book.")
    key: Hex128 = Field(description="Keyed hash of workspace, book, type and the business key's value.")
    rank: int = Field(ge=0, description="Trust of the source at that time; of two tellings the lowest is to count.")


class Sealed(Contract):
    """Personal content, compressed and encrypted. What is in it is absent, or reduced to facts, outside of it."""

    key: Hex128 = Field(description="Id of the data key.")
    dictionary: int = Field(ge=0, description="Version of the compression dictionary; 0: none.")
    content: str = Field(description="Base64 of nonce and ciphertext.")


class Envelope(Contract):
    """One customer event as the log keeps it. Members that an event does not need are absent, never null."""

    specversion: Literal["1.0"] = "1.0"
    key: Hex128 = Field(description="Keyed hash of source and id: the event's identity, and its key in the log.")
    id: ShortText = Field(description="The sender's own, unique within its source. Where sealed, `key` again.")
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
    place: int = Field(ge=0, description="Place within its request: the first event of a batch is 0.")
    sent_at: Moment | None = Field(default=None, description="When the sender's clock said it was sent.")
    original_time: Moment | None = Field(default=None, description="The time as claimed, where `time` is another.")
    flags: tuple[str, ...] = Field(
        default=(), description="`clock_fast`, `unplanned`, `value_read:/properties/revenue`, …: docs/envelope.md."
    )
    original: dict[str, Any] | None = Field(
        default=None,
        description="JSON pointer into this envelope -> what came there, where it was read otherwise or left out.",
        json_schema_extra=PERSONAL,
    )
    identifiers: tuple[Identifier, ...] = Field(description="By priority; the first is the anchor.")
    alias: Literal[True] | None = Field(default=None, description="Its links override the user id limit.")
    traits: dict[str, Any] = Field(default={}, description="Of identify only.", json_schema_extra=PERSONAL)
    properties: dict[str, Any] = Field(default={}, description="Checked against `dataschema`.")
    context: dict[str, Any] = Field(default={}, description="Where it was.", json_schema_extra=PERSONAL)
    consent: dict[str, bool | str] | None = Field(default=None, description="By purpose.")
    money: Money | None = None
    business: Business | None = Field(default=None, description="Where the type has a business key and it was sent.")
    name: str | None = Field(default=None, description="The track event's name as sent.")
    sealed: Sealed | None = Field(default=None, description="Absent while nothing is sealed.")

    def record(self) -> dict[str, Any]:
        """The JSON members of a record: what is absent stays absent."""
        return self.model_dump(mode="json", exclude_none=True)
