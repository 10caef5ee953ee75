"""The records of the log's other topics, as the code writes and reads them: identity, transitions, touches, rejected
events and the audit. The published files (`schemas/records/*.json`) are generated from these types.

Writing: members are in this order. Members with a default of None, False or empty are omitted if they have it.
Reading: unknown members are ignored, so an older version reads the records of a newer one. The limits in the published
files (patterns, lengths, lists of words) are promises to readers; our code does not check them. A record that lacks a
member, or has one of another type, raises `Broken`; the message names the topic and shows no value.

Members may be added. Within a version they are never removed, and their meaning never changes.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field

from schemas import topics
from schemas.envelope import HEX128, MAX_ID, MOMENT, PERSONAL
from schemas.errors import Broken

Hex128 = Annotated[str, Meta(extra_json_schema={"pattern": HEX128})]
"""A 128-bit number: a node, or a profile's founding node."""

ShortText = Annotated[str, Meta(extra_json_schema={"minLength": 1, "maxLength": MAX_ID})]

Moment = Annotated[str, Meta(extra_json_schema={"pattern": MOMENT})]
"""RFC 3339 in UTC with three decimals (`schemas.clock.iso`)."""

Milliseconds = Annotated[int, Meta(description="Milliseconds since 1970-01-01 UTC.", extra_json_schema={"minimum": 0})]

_TOUCHES: Final = ("event", "time", "merge", "split", "erased", "backfill", "edited", "deleted")
_CAUSES: Final = (*_TOUCHES, "replay", "consent", "absorbed")

# ---- simorgh.segments


class Owner(Struct, array_like=True, frozen=True, gc=False):
    """The holder of a partition of simorgh.touched: partition, generation of the consumer group, and attempt in that
    generation."""

    partition: int
    generation: int
    attempt: int


TransitionKind = Literal["entered", "exited"]


class Transition(Struct, kw_only=True, omit_defaults=True, gc=False):
    """simorgh.segments: a profile entered or left a segment. Published once, in order for each profile.

    A transition with an owner counts unless a claim of a later owner of the same partition stands before it in the
    topic. A later owner has a higher generation, or the same generation and a higher attempt. A transition
    that does not count was written after its owner had lost the partition.
    """

    segment: ShortText
    version: Annotated[int, Meta(description="Version of the segment's rule.", extra_json_schema={"minimum": 1})]
    profile: Hex128
    kind: TransitionKind
    at: Milliseconds
    entered_at: Milliseconds
    cause: Annotated[str, Meta(extra_json_schema={"enum": _CAUSES})]
    former: Annotated[
        list[Hex128],
        Meta(
            description="After a merge or a split, the previous profiles of the nodes that this profile gained: those"
            " that it absorbed, or the one that it was part of."
        ),
    ] = []
    owner: Owner | None = None
    id: ShortText


class Claim(Struct, kw_only=True, tag_field="kind", tag="claimed", gc=False):
    """simorgh.segments: from this record on, this owner publishes the transitions of the profiles in its partition of
    simorgh.touched."""

    owner: Owner
    upto: Annotated[
        int,
        Meta(
            description="`fences` takes into account all claims before this offset.", extra_json_schema={"minimum": 0}
        ),
    ]
    fences: Annotated[list[Owner], Meta(description="The latest owner of each partition.")]


# ---- simorgh.touched


class TouchRecord(Struct, kw_only=True, omit_defaults=True, gc=False):
    """simorgh.touched: a profile, or nodes that the writer takes for part of it, may have changed. The record only says
    where to look."""

    profile: Hex128
    cause: Annotated[str, Meta(extra_json_schema={"enum": _TOUCHES})]
    nodes: list[Hex128] = []
    inherited: Annotated[
        dict[str, Milliseconds],
        Meta(description="Memberships of the profiles that this one absorbed: segment -> entered_at."),
    ] = {}
    former: Annotated[
        list[Hex128],
        Meta(description="The previous profiles of its nodes, if a merge or a split moved them."),
    ] = []
    anew: Annotated[
        bool,
        Meta(description="An event that may have been counted no longer counts: compute the profile's state again."),
    ] = False


# ---- simorgh.identity: one total order per workspace, kept forever and never derived again


class Link(Struct, kw_only=True, omit_defaults=True, tag_field="kind", tag="link", gc=False):
    """The identifiers of one event belong together. The first node is the anchor. A link with a single node says that
    this node was seen for the first time."""

    key: Annotated[Hex128, Meta(description="Key of the event.")]
    source: Annotated[ShortText, Meta(description="Id of the event's source.")]
    received_at: Milliseconds
    place: (
        Annotated[
            int,
            Meta(
                description="Place of the event in its request. Links are decided in the order of receipt.",
                extra_json_schema={"minimum": 0},
            ),
        ]
        | UnsetType
    ) = UNSET
    """Always written, also where it is 0. The first versions wrote none: that counts as 0."""
    nodes: Annotated[
        list[tuple[Hex128, ShortText]],
        Meta(description="Pairs of node and type.", extra_json_schema={"minItems": 1}),
    ]
    alias: bool = False


CommandOffset = Annotated[
    int,
    Meta(description="Offset of the steward's command in simorgh.registry.", extra_json_schema={"minimum": 0}),
]
Reason = Annotated[str, Meta(extra_json_schema=PERSONAL)]


class Merge(Struct, kw_only=True, tag_field="kind", tag="merge", gc=False):
    """A steward says that two profiles are one person. Limits do not apply."""

    command: CommandOffset
    a: Hex128
    b: Hex128
    reason: Reason
    by: str
    at: Milliseconds


class Split(Struct, kw_only=True, tag_field="kind", tag="split", gc=False):
    """A steward says that these nodes belong to somebody else."""

    command: CommandOffset
    nodes: list[Hex128]
    reason: Reason
    by: str
    at: Milliseconds


class Erase(Struct, kw_only=True, tag_field="kind", tag="erase", gc=False):
    """A person is to be forgotten: every node of the profile, as it is here, belongs to nobody from now on."""

    command: CommandOffset
    profile: Annotated[Hex128, Meta(description="A node of the profile.")]
    by: str
    at: Milliseconds


class Rules(Struct, kw_only=True, tag_field="kind", tag="rules", gc=False):
    """The identity rules that apply from here on."""

    version: Annotated[int, Meta(extra_json_schema={"minimum": 1})]
    rules: dict[str, Any]
    at: Milliseconds


IdentityRecord = Link | Merge | Split | Erase | Rules
"""A record without its decisions. Our code never reads decisions: it folds the records."""


class Merged(Struct, kw_only=True, omit_defaults=True, tag_field="outcome", tag="merged", gc=False):
    """Two profiles became one."""

    survivor: Hex128
    absorbed: Hex128
    overrides: Annotated[list[str], Meta(description="The limits that a steward's merge overrides.")] = []
    lifts: Annotated[
        list[int], Meta(description="Offsets in simorgh.registry of the splits that a steward's merge reverts.")
    ] = []


class RefusedDecision(Struct, kw_only=True, tag_field="outcome", tag="refused", gc=False):
    """Two nodes were not joined."""

    a: Hex128
    b: Hex128
    reason: Annotated[str, Meta(description="`limit:<type>`, `too_many_nodes`, `split` or `shared`.")]


class SharedDecision(Struct, kw_only=True, tag_field="outcome", tag="shared", gc=False):
    """Too many people use this identifier, so it belongs to nobody."""

    node: Hex128


class Parted(Struct, kw_only=True, tag_field="outcome", tag="split", gc=False):
    """One profile became several."""

    from_: Hex128 = field(name="from")
    to: list[Hex128]


class Erased(Struct, kw_only=True, tag_field="outcome", tag="erased", gc=False):
    """A profile ceased, and its nodes belong to nobody."""

    profile: Hex128
    nodes: list[Hex128]


Decision = Merged | RefusedDecision | SharedDecision | Parted | Erased


Decisions = Annotated[
    Sequence[Decision], Meta(description="The results of the record, for readers of the topic that do not fold it.")
]


# ---- simorgh.rejected


class Rejection(Struct, kw_only=True, omit_defaults=True, gc=False):
    """simorgh.rejected: an event that was refused, with the reason and its bytes (as text if they are UTF-8)."""

    id: ShortText
    code: ShortText
    reason: str
    source: str
    channel: str | None = None
    received_at: Moment
    place: Annotated[
        int | None,
        Meta(
            description="Position in its request: the first event of a batch is 0.",
            extra_json_schema={"minimum": 0},
        ),
    ] = None
    payload: Annotated[str | None, Meta(extra_json_schema=PERSONAL)] = None
    payload_base64: Annotated[str | None, Meta(extra_json_schema=PERSONAL)] = None
    digest: Annotated[
        int,
        Meta(
            description="Digest of the bytes; equal bytes have equal digests. Of the content for a `conflicting_copy`.",
        ),
    ]
    resolved: Annotated[bool, Meta(description="True after a retry was accepted, or after a dismissal.")] = False
    webhook: Annotated[
        dict[str, Any] | None,
        Meta(
            description="Of a vendor's webhook: the vendor, the headers that say what the payload is, and whether it is"
            " the whole body."
        ),
    ] = None


# ---- simorgh.audit


class AuditEntry(Struct, kw_only=True, omit_defaults=True, gc=False):
    """simorgh.audit: a request to the API that reads or changes something. It holds ids and hashes, never a value.

    Each process that writes has a chain of its own: entries counted from 0, each with the hash of the one before. The
    first one of a chain holds the hash of the last record that its writer found in the topic. `hash` is a keyed hash
    (BLAKE2b, 128 bits, with a key derived from the workspace's secret) of the record's bytes with `hash` empty.
    """

    chain: Hex128
    n: Annotated[int, Meta(description="Place in its chain.", extra_json_schema={"minimum": 0})]
    before: Annotated[str, Meta(description="Hash of the entry before; empty for the first record of the topic.")]
    after: Annotated[
        int | None,
        Meta(description="Of the first entry of a chain: the offset of the record that `before` is the hash of."),
    ] = None
    at: Milliseconds
    token: Annotated[ShortText, Meta(description="Id of the caller's token.")]
    name: Annotated[str, Meta(description="The token's name.")] = ""
    action: Annotated[ShortText, Meta(description="What was asked for, such as `profiles.view`.")]
    request: Annotated[Hex128, Meta(description="The same in the two entries of a request that changes something.")]
    asked: Annotated[
        bool,
        Meta(description="Written before a change. Another entry says what became of it, unless the process died."),
    ] = False
    status: Annotated[int, Meta(description="HTTP status of the answer; 0 where `asked`.")] = 0
    target: Annotated[str, Meta(description="The declaration that was meant, such as `segment:vip`.")] = ""
    profiles: Annotated[list[Hex128], Meta(description="Whose data was shown or changed: the first 100 profiles.")] = []
    others: Annotated[int, Meta(description="How many more people or events there were.")] = 0
    sought: Annotated[
        list[Hex128], Meta(description="Keyed hashes of what was looked for and not found; the first 100.")
    ] = []
    hash: str


# ---- as bytes

_CLAIMED: Final = b'"claimed"'
_UNDECIDED: Final = b',"decisions":[]}'
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_encode: Final = msgspec.json.Encoder().encode
_transition: Final = msgspec.json.Decoder(Transition).decode
_claim: Final = msgspec.json.Decoder(Claim).decode
_touch: Final = msgspec.json.Decoder(TouchRecord).decode
_identity: Final[Callable[[bytes], IdentityRecord]] = msgspec.json.Decoder(IdentityRecord).decode
_rejection: Final = msgspec.json.Decoder(Rejection).decode
_audit: Final = msgspec.json.Decoder(AuditEntry).decode


def encode(record: Transition | Claim | TouchRecord | Rejection | AuditEntry) -> bytes:
    return _encode(record)


def encode_identity(record: IdentityRecord, decisions: Decisions = ()) -> bytes:
    """A record with its decisions. A writer that does not fold the topic gives none."""
    encoded = _encode(record)[:-1]
    return encoded + b',"decisions":' + _encode(decisions) + b"}" if decisions else encoded + _UNDECIDED


def decode_transition(value: bytes) -> Transition:
    """A record of simorgh.segments that is not a claim."""
    try:
        return _transition(value)
    except _UNREADABLE as error:
        raise _unreadable(topics.SEGMENTS, "a transition") from error


def read_transition(value: bytes) -> Transition | None:
    """`decode_transition`, or None for any other record: other programs may write to the topic."""
    try:
        return _transition(value)
    except _UNREADABLE:
        return None


def decode_claim(value: bytes) -> Claim | None:
    """A record of simorgh.segments if it is a claim, else None. Most transitions are not parsed for this."""
    if _CLAIMED not in value:
        return None
    try:
        return _claim(value)
    except _UNREADABLE:
        return None  # a segment may have this name


def decode_told(value: bytes) -> Transition | Claim:
    """Any record of simorgh.segments."""
    return decode_claim(value) or decode_transition(value)


def decode_touch(value: bytes) -> TouchRecord:
    try:
        return _touch(value)
    except _UNREADABLE as error:
        raise _unreadable(topics.TOUCHED, "a touch") from error


def decode_identity(value: bytes) -> IdentityRecord:
    try:
        return _identity(value)
    except _UNREADABLE as error:
        raise _unreadable(topics.IDENTITY, "a link, merge, split, erase or rules record") from error


def decode_rejection(value: bytes) -> Rejection:
    try:
        return _rejection(value)
    except _UNREADABLE as error:
        raise _unreadable(topics.REJECTED, "a rejected event") from error


def decode_audit(value: bytes) -> AuditEntry:
    try:
        return _audit(value)
    except _UNREADABLE as error:
        raise _unreadable(topics.AUDIT, "an audit entry") from error


def _unreadable(topic: str, wanted: str) -> Broken:
    return Broken(
        f"{topic}: wanted {wanted}, got something else; was it written by a newer version, or by another program?"
    )
