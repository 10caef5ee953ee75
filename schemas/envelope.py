"""The envelope: a record of `simorgh.events`, which is a CloudEvents 1.0 event in JSON with our attributes.

The door makes it once and nothing recomputes it. The hot path builds and reads plain dicts. These models are
the contract for outside producers and for tests, and `schemas/envelope.v2.json` is generated from them.
`docs/envelope.md` gives the reason for each member.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_ID: Final = 200
"""Longest event id, in characters: Segment allows 100, but vendors' ids with a prefix need more."""

_DAY: Final = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_TIME: Final = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z"

MOMENT: Final = f"^{_DAY}T{_TIME}$"
HEX128: Final = r"^[0-9a-f]{32}$"

Moment = Annotated[str, Field(pattern=MOMENT)]
"""RFC 3339 in UTC with three decimals (`schemas.clock.iso`), so that sorting as text sorts by time."""

Hex128 = Annotated[str, Field(pattern=HEX128)]
"""A 128-bit number: a node, or a profile's founding node."""

ShortText = Annotated[str, Field(min_length=1, max_length=MAX_ID)]

PERSONAL_MEMBERS: Final = ("id", "name", "properties", "traits", "context", "consent", "original")
"""What is sealed: the clear part has `id` and `properties` as well, reduced to the event's key and to facts."""

PERSONAL: Final[dict[str, Any]] = {"x-personal": True}


class Contract(BaseModel):
    """Frozen, closed and strict: `"1"` is not a number here, and an unknown member is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Identifier(Contract):
    """One identifier of an event. `node` is the keyed hash under which everything is stored."""

    type: ShortText
    value: str | None = Field(
        default=None, description="The value as received. Absent if sealed.", json_schema_extra=PERSONAL
    )
    normalised: str | None = Field(
        default=None,
        description="The value in its standard spelling, which is compared. Absent if sealed.",
        json_schema_extra=PERSONAL,
    )
    normaliser: int = Field(ge=1, description="Version of the normaliser that made it.")
    node: Hex128
    trust: Literal["hint"] | None = Field(
        default=None, description="`hint`: kept and shown, but never links profiles. Absent: it links them."
    )


class Money(Contract):
    """The exact value of an order."""

    amount: str = Field(
        pattern=r"^-?[0-9]{1,30}(\.[0-9]{1,6})?$",
        description="Decimal number as text, with at most 30 digits before the point and 6 after it.",
    )
    currency: str = Field(pattern=r"^([A-Z]{3})?$", description="Three capital letters; empty if unknown.")


class Business(Contract):
    """The fact that an event reports. It shows that two events report the same fact."""

    book: ShortText = Field(description="Book of the source, by default its id. Reports are compared within one book.")
    key: Hex128 = Field(description="Keyed hash of workspace, book, type and the business key's value.")
    rank: int = Field(ge=0, description="Rank of the source at that time; of several reports the lowest rank counts.")


class NamedAccount(Contract):
    """The account that an event names, and what it says of that besides traits and a role."""

    key: ShortText = Field(description="The sender's own id of the account, in its standard spelling.")
    parent: str | None = Field(
        default=None, max_length=MAX_ID, description="The account that it is a branch of; empty: of none any more."
    )
    reports_to: str | None = Field(
        default=None,
        pattern=r"^([0-9a-f]{32})?$",
        description="The node of the person to whom the event's person reports; empty: to nobody any more.",
    )


class Sealed(Contract):
    """Personal content, compressed and encrypted. Outside of it, the same content is absent or reduced to facts."""

    node: Hex128 | None = Field(default=None, description="The node of the data key, if it is not the anchor's.")
    clear: int = Field(ge=0, description="How many bytes of this record stay when the content is put in place.")
    whole: Literal[1] | None = Field(
        default=None, description="1: the properties in the clear are all that there are, and are not sealed once more."
    )
    key: str = Field(pattern="^[0-9a-f]{16}$", description="Id of the data key among those of its node.")
    dictionary: int = Field(ge=0, description="Version of the compression dictionary; 0 for none.")
    content: str = Field(description="Base64 of nonce and ciphertext.")


class Envelope(Contract):
    """One customer event as stored in the log. Members without a value are absent, never null."""

    specversion: Literal["1.0"] = "1.0"
    key: Hex128 = Field(description="Keyed hash of source and id. It identifies the event and is its key in the log.")
    id: ShortText = Field(description="The sender's own id, unique within its source. If sealed, the same as `key`.")
    source: str = Field(pattern=r"^/sources/.+", description="The source that sent it: `/sources/<id>`.")
    type: ShortText = Field(description="Event type, such as `order.completed` or `custom.foo_bar`.")
    time: Moment = Field(description="When it happened, corrected for the sender's clock.")
    subject: str | None = Field(
        default=None, description="The anchor as `type:value`, normalised.", json_schema_extra=PERSONAL
    )
    workspace: ShortText
    channel: ShortText = Field(description="web, email, chat, social, pos, phone, feedback, server, …")
    dataschema: str = Field(pattern=r"^(custom|.+/[1-9][0-9]*)$", description="Type and version, or `custom`.")
    received_at: Moment
    place: int = Field(ge=0, description="Position in its request: the first event of a batch is 0.")
    sent_at: Moment | None = Field(default=None, description="When it was sent, by the sender's clock.")
    original_time: Moment | None = Field(default=None, description="The time as claimed, if `time` differs.")
    flags: tuple[str, ...] = Field(
        default=(), description="`clock_fast`, `unplanned`, `value_read:/properties/revenue`, …: docs/envelope.md."
    )
    original: dict[str, Any] | None = Field(
        default=None,
        description="JSON pointer into this envelope -> the value as sent, if it was read as another or left out.",
        json_schema_extra=PERSONAL,
    )
    identifiers: tuple[Identifier, ...] = Field(description="In order of priority; the first is the anchor.")
    alias: Literal[True] | None = Field(default=None, description="Its links override the user id limit.")
    traits: dict[str, Any] = Field(default={}, description="Only for identify.", json_schema_extra=PERSONAL)
    properties: dict[str, Any] = Field(default={}, description="Checked against `dataschema`.")
    context: dict[str, Any] = Field(
        default={}, description="Circumstances, such as page, device or campaign.", json_schema_extra=PERSONAL
    )
    consent: dict[str, bool | str] | None = Field(default=None, description="Purpose -> the person's choice.")
    money: Money | None = None
    business: Business | None = Field(default=None, description="Present if the business key of the type was sent.")
    document: Hex128 | None = Field(
        default=None,
        description="The order that the event changes or continues: the key in `business` of its `order.completed`.",
    )
    account: NamedAccount | None = Field(
        default=None, description="The account that the event belongs to: docs/accounts.md."
    )
    name: str | None = Field(default=None, description="Name of the track event as sent.")
    sealed: Sealed | None = Field(default=None, description="Absent while nothing is sealed.")

    def record(self) -> dict[str, Any]:
        """The members of a record as JSON; absent ones stay absent."""
        return self.model_dump(mode="json", exclude_none=True)
