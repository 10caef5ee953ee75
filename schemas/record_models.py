"""The records of the other topics that outside consumers may read: transitions, identity decisions, rejected
events.

Members may be added within a version, so readers must ignore the ones they do not know: these models do, and the
files generated from them (`schemas/records/*.json`) allow it. Within a version, no member is removed and none changes
its meaning.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.envelope import PERSONAL, Hex128, Moment, ShortText

Milliseconds = Annotated[int, Field(ge=0, description="Milliseconds since 1970-01-01 UTC.")]


class OpenRecord(BaseModel):
    """Frozen and strict about the members it knows, open to members added later."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)


class Transition(OpenRecord):
    """simorgh.segments: a profile entered or left a segment. Published once, in order per profile."""

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
        description="Partition of simorgh.touched, generation of the consumer group, and attempt in that generation."
    ),
]


class OwnedTransition(Transition):
    """simorgh.segments: a profile entered or left a segment. Published once, in order per profile.

    A transition with an owner is void if an earlier record of the topic is a claim to the same partition by a later
    owner: one with a higher generation, or with the same generation and a higher attempt. The worker that wrote the
    transition had lost the partition by then.
    """

    owner: Owner | None = None


class Claim(OpenRecord):
    """simorgh.segments: from here on, this owner publishes the transitions of the profiles in its partition of
    simorgh.touched."""

    kind: Literal["claimed"]
    owner: Owner
    upto: int = Field(ge=0, description="`fences` covers the records before this offset.")
    fences: list[Owner] = Field(description="The latest owner of each partition.")


class Touch(OpenRecord):
    """simorgh.touched: something changed about a profile, or about nodes that its writer counts to that profile. The
    record says only where to look."""

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
    """Too many people use this identifier, so it belongs to nobody."""

    outcome: Literal["shared"]
    node: Hex128


class Parted(OpenRecord):
    outcome: Literal["split"]
    from_: Hex128 = Field(alias="from")
    to: list[Hex128]


Decision = Annotated[Merged | Refused | Shared | Parted, Field(discriminator="outcome")]


class Link(OpenRecord):
    """The identifiers of one event belong together. The first node is the anchor. A link with a single node says that
    the node was seen for the first time."""

    kind: Literal["link"]
    key: Hex128 = Field(description="Key of the event.")
    source: ShortText = Field(description="Id of the event's source.")
    received_at: Milliseconds
    nodes: list[tuple[Hex128, ShortText]] = Field(min_length=1, description="Pairs of node and type.")
    alias: Literal[True] | None = None
    decisions: list[Decision]


class Command(OpenRecord):
    """What merges and splits share: who ordered them, why and when."""

    command: int = Field(ge=0, description="Offset of the steward's command in simorgh.registry.")
    reason: str = Field(json_schema_extra=PERSONAL)
    by: str
    at: Milliseconds
    decisions: list[Decision]


class Merge(Command):
    """A steward says that two profiles are one person. Limits do not apply."""

    kind: Literal["merge"]
    a: Hex128
    b: Hex128


class Split(Command):
    """A steward says that these nodes belong to somebody else."""

    kind: Literal["split"]
    nodes: list[Hex128]


class Rules(OpenRecord):
    """The identity rules that apply from here on."""

    kind: Literal["rules"]
    version: int = Field(ge=1)
    rules: dict[str, Any]
    at: Milliseconds


IdentityRecord = Annotated[Link | Merge | Split | Rules, Field(discriminator="kind")]
"""simorgh.identity: one total order per workspace, kept forever; profiles are built from it."""


class RejectedEvent(OpenRecord):
    """simorgh.rejected: an event that was refused, with the reason and its bytes (as text if they are UTF-8)."""

    id: ShortText
    code: ShortText
    reason: str
    source: str
    channel: str
    received_at: Moment
    place: int = Field(default=0, ge=0, description="Position in its request: the first event of a batch is 0.")
    payload: str | None = Field(default=None, json_schema_extra=PERSONAL)
    payload_base64: str | None = Field(default=None, json_schema_extra=PERSONAL)
    digest: int = Field(
        description="Digest of the bytes; equal bytes have equal digests. For a `conflicting_copy`, of its content."
    )
    resolved: Literal[True] | None = Field(
        default=None, description="True once it was accepted on a retry, or dismissed."
    )
