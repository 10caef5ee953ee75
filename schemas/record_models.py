"""The records of other topics that outside consumers may read: transitions, identity decisions, rejected
events.

Members may be added, so readers must let unknown ones pass: these models do, and the files generated from
them (`schemas/records/*.json`) say so. Members are never removed and never change their meaning within a
version.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.envelope import PERSONAL, Hex128, Moment, ShortText

Milliseconds = Annotated[int, Field(ge=0, description="Milliseconds since 1970-01-01 UTC.")]


class OpenRecord(BaseModel):
    """Frozen and strict about what it knows, open to members that come later."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)


class Transition(OpenRecord):
    """simorgh.segments: a profile entered or left a segment. Told once, in order per profile."""

    id: ShortText
    segment: ShortText
    version: int = Field(ge=1, description="Version of the segment's rule.")
    profile: Hex128
    kind: Literal["entered", "exited"]
    at: Milliseconds
    entered_at: Milliseconds
    cause: Literal["event", "time", "merge", "split", "backfill", "edited", "deleted", "replay", "consent", "absorbed"]


Owner = Annotated[
    tuple[int, int, int],
    Field(
        description="Partition of simorgh.touched, consumer generation, and number of the try within that generation."
    ),
]


class OwnedTransition(Transition):
    """simorgh.segments: a profile entered or left a segment. Told once, in order per profile.

    With an owner, it counts unless the topic holds, before it, a claim of a later owner of the same partition (one with
    a higher generation, or the same generation and a higher try): whoever told it had lost the partition by then.
    """

    owner: Owner | None = None


class Claim(OpenRecord):
    """simorgh.segments: from here on, this owner tells the transitions of the profiles of its partition of
    simorgh.touched."""

    kind: Literal["claimed"]
    owner: Owner
    upto: int = Field(ge=0, description="`fences` holds for the records before this offset.")
    fences: list[Owner] = Field(description="The latest owner of each partition.")


class Touch(OpenRecord):
    """simorgh.touched: something is new about a profile, or about nodes that were taken for its own. It says where to
    look, and no more."""

    profile: Hex128
    cause: Literal["event", "time", "merge", "split", "backfill", "edited", "deleted"]
    nodes: list[Hex128] = Field(default_factory=list)
    inherited: dict[str, Milliseconds] = Field(
        default_factory=dict, description="Memberships of profiles that this one absorbed: segment -> entered_at."
    )


class Merged(OpenRecord):
    outcome: Literal["merged"]
    survivor: Hex128
    absorbed: Hex128


class Refused(OpenRecord):
    outcome: Literal["refused"]
    a: Hex128
    b: Hex128
    reason: str = Field(description="`limit:<type>`, `too_many_nodes`, `split` or `shared`.")


class Shared(OpenRecord):
    """An identifier that too many people use: it belongs to nobody."""

    outcome: Literal["shared"]
    node: Hex128


class Parted(OpenRecord):
    outcome: Literal["split"]
    from_: Hex128 = Field(alias="from")
    to: list[Hex128]


Decision = Annotated[Merged | Refused | Shared | Parted, Field(discriminator="outcome")]


class Link(OpenRecord):
    """The identifiers of one event belong together. The first node is the anchor; a single node is seen for the first
    time."""

    kind: Literal["link"]
    key: Hex128 = Field(description="The event's.")
    source: ShortText = Field(description="The id of the event's source.")
    received_at: Milliseconds
    nodes: list[tuple[Hex128, ShortText]] = Field(min_length=1, description="Pairs of node and type.")
    alias: Literal[True] | None = None
    decisions: list[Decision]


class Command(OpenRecord):
    """What merges and splits share: by whom, why and when."""

    command: int = Field(ge=0, description="Offset of the steward's command in simorgh.registry.")
    reason: str = Field(json_schema_extra=PERSONAL)
    by: str
    at: Milliseconds
    decisions: list[Decision]


class Merge(Command):
    """A steward says that two profiles are one person; limits do not hold."""

    kind: Literal["merge"]
    a: Hex128
    b: Hex128


class Split(Command):
    """A steward says that these nodes are somebody else."""

    kind: Literal["split"]
    nodes: list[Hex128]


class Rules(OpenRecord):
    """The identity rules from here on."""

    kind: Literal["rules"]
    version: int = Field(ge=1)
    rules: dict[str, Any]
    at: Milliseconds


IdentityRecord = Annotated[Link | Merge | Split | Rules, Field(discriminator="kind")]
"""simorgh.identity: one total order per workspace, kept forever; it is truth."""


class RejectedEvent(OpenRecord):
    """simorgh.rejected: what failed, with its reason and its bytes, as text where they are UTF-8."""

    id: ShortText
    code: ShortText
    reason: str
    source: str
    channel: str
    received_at: Moment
    place: int = Field(default=0, ge=0, description="Place within its request: the first event of a batch is 0.")
    payload: str | None = Field(default=None, json_schema_extra=PERSONAL)
    payload_base64: str | None = Field(default=None, json_schema_extra=PERSONAL)
    digest: int = Field(
        description="Of the bytes: equal bytes have equal digests. For a `conflicting_copy`, of its content."
    )
    resolved: Literal[True] | None = Field(
        default=None, description="Settled: it was accepted on a retry, or dismissed."
    )
