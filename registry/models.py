"""Declarations as frozen models, and their record in the log.

Times are int ms since 1970 UTC. Unknown fields are refused: a misspelt setting is not silently ignored.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, tzinfo
from functools import cached_property
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson
from pydantic import BaseModel, ConfigDict, Field, SecretStr, SerializationInfo, field_serializer, model_validator

from eventlog.port import Message
from registry.scopes import PERSONAL, Scope
from schemas.custom import folded

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,99}$")]
Name = Annotated[str, Field(max_length=200)]
TraitName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,99}$")]
EventName = Annotated[str, Field(min_length=1, max_length=200)]
FieldPath = Annotated[str, Field(pattern=r"^(traits|properties|context)(\.[^.]+)+$", max_length=200)]
"""A field of an event, such as `traits.city` or `properties.delivery.note`."""
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

IdentityRules = dict[str, Any]
"""The body of a `rules` declaration; `identity.rules` defines its meaning."""


class Declaration(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


TRUSTED_CHANNELS: Final = frozenset({"server", "pos", "email", "chat", "social", "phone", "feedback"})
"""Channels on which computers of a company or a vendor send, not people's browsers and devices."""
TRUSTED_RANK: Final = 10
OTHER_RANK: Final = 20
"""Ranks of trust by channel: the report of a till or a server counts before that of a browser."""


class Budget(Declaration):
    """How much a source may send. null: the workspace's default (SIMORGH_BUDGET_…); 0: no limit."""

    events_per_second: Annotated[int, Field(ge=0)] | None = None
    megabytes_per_day: Annotated[int, Field(ge=0)] | None = None
    types_per_day: Annotated[int, Field(ge=0)] | None = None
    names_per_day: Annotated[int, Field(ge=0)] | None = None
    identifiers_per_day: Annotated[int, Field(ge=0)] | None = None


UNLIMITED: Final = Budget(
    events_per_second=0, megabytes_per_day=0, types_per_day=0, names_per_day=0, identifiers_per_day=0
)
"""For the operator's own actions: imports, retries."""


class KeyNote(Declaration):
    """The public part of a write key: when it was created, and its first characters."""

    created_at: int
    begins: Annotated[str, Field(max_length=40)]


class SourceSecret(Declaration):
    """A secret that a vendor signs with: sealed under a key that is not in the log, and bound to its source and id."""

    id: Id
    use: Slug = "signing"
    created_at: int
    begins: Annotated[str, Field(max_length=20)] = ""
    """Its first characters, to tell it from others."""
    sealed: Annotated[str, Field(max_length=10_000)]
    until: int | None = None
    """It holds until then, ms; None: until it is removed."""


MOST_SECRETS: Final = 10
"""Of one source."""


class Hearing(Declaration):
    """How a source receives its vendor's webhook.

    `url`: the address as the vendor has it, where that is signed. `topics`: those that a shared transport may bring,
    such as ARNs of SNS. `hints`: whether identifiers that nobody verified link people, or are kept and shown only.
    `mapping` and `proof`: what the messages of a generic webhook mean, and how they are signed.
    """

    url: Annotated[str, Field(max_length=2000)] | None = None
    topics: Annotated[tuple[Annotated[str, Field(max_length=500)], ...], Field(max_length=100)] = ()
    hints: Literal["keep", "link"] = "keep"
    mapping: dict[str, Any] | None = None
    proof: dict[str, Any] | None = None


class Source(Declaration):
    """A source of events, and how unclear values in its events are read: docs/sending.md explains each setting.

    A source may have two keys, so that a key can be changed without a gap. None: the default of the workspace or the
    channel. Whether a type, region or zone exists is checked at its declaration, not here: a record that was accepted
    once can always be read.
    """

    id: Slug
    name: Name = ""
    channel: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,49}$")] = "web"
    write_key_sha256: Annotated[tuple[Digest, ...], Field(max_length=2)] = ()
    key_notes: dict[Digest, KeyNote] = {}
    """By digest; keys of earlier versions have none."""
    enabled: bool = True
    unplanned: Literal["accept", "reject"] = "accept"
    schema_faults: Literal["accept", "reject"] = "accept"
    """accept: a value that does not fit its schema is converted or left out, and flagged."""
    allowed_origins: tuple[str, ...] = ("*",)
    addresses: Literal["shorten", "keep", "drop"] = "shorten"
    """What is stored of the IP addresses in its events' contexts: the network, all, or nothing."""
    bots: Literal["accept", "nobody"] = "accept"
    """nobody: events of bots are kept, and belong to no profile."""
    budget: Budget = Budget()
    clock: Literal["trusted", "untrusted"] | None = None
    """Whether events that were sent long before their receipt were held up (trusted), or misdated."""
    time_zone: Annotated[str, Field(max_length=100)] | None = None
    """IANA's name, for times without an offset; None: UTC."""
    region: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] | None = None
    """ISO 3166, for phone numbers without a country."""
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = None
    """ISO 4217, for orders without one; IRT is the toman."""
    book: Slug | None = None
    """Tellings of one fact are compared within a book. None: the source's own id."""
    trust: Annotated[int, Field(ge=0, le=1000)] | None = None
    """Of two tellings of one fact, that of the lowest number counts. None: the default of the channel."""
    aliases: Annotated[dict[EventName, EventName], Field(max_length=200)] = {}
    """The sender's own names of track events -> types of the catalogue."""
    personal: Annotated[tuple[FieldPath, ...], Field(max_length=200)] = ()
    """Fields that are personal, with all below them, beside those that the schemas mark."""
    not_personal: Annotated[tuple[FieldPath, ...], Field(max_length=200)] = ()
    """Fields that are not, though no schema declares them, or one marks them."""
    vendor: Slug | None = None
    """Whose webhook it receives, at `/v1/webhooks/{vendor}/{id}`; None: no vendor's."""
    webhook: Hearing = Hearing()
    secrets: Annotated[tuple[SourceSecret, ...], Field(max_length=MOST_SECRETS)] = ()
    """Of the vendor's webhook, the oldest first."""

    @cached_property
    def trusts_clock(self) -> bool:
        return self.clock == "trusted" if self.clock else self.channel in TRUSTED_CHANNELS

    @cached_property
    def zone(self) -> tzinfo:
        try:
            return ZoneInfo(self.time_zone) if self.time_zone else UTC
        except (ZoneInfoNotFoundError, ValueError):
            return UTC  # a zone that this machine's list no longer has

    @cached_property
    def types_by_name(self) -> Mapping[str, str]:
        """`aliases`, by their folded names."""
        return {folded(name): type for name, type in self.aliases.items()}

    @cached_property
    def heard(self) -> Mapping[str, Any]:
        """`webhook`, as connectors read it: without what is not set."""
        return self.webhook.model_dump(exclude_none=True)

    @cached_property
    def rank(self) -> int:
        if self.trust is not None:
            return self.trust
        return TRUSTED_RANK if self.channel in TRUSTED_CHANNELS else OTHER_RANK


class Token(Declaration):
    id: Id
    name: Name = ""
    token_sha256: Digest
    scopes: frozenset[Scope]
    expires_at: int | None = None
    created_at: int | None = None
    """None: created by an earlier version, or by the environment."""
    masked: bool = False
    """Created without the scope `personal`. Tokens of versions that did not know it have it."""

    @model_validator(mode="before")
    @classmethod
    def _with_personal(cls, body: Any) -> Any:
        if not isinstance(body, Mapping) or body.get("masked") or not isinstance(body.get("scopes"), Iterable):
            return body
        return {**body, "scopes": [*body["scopes"], PERSONAL]}


class SegmentDeclaration(Declaration):
    """The caller checks `rule` by compiling it, and raises `version` with each edit."""

    id: Slug
    name: Name = ""
    rule: dict[str, Any]
    version: Annotated[int, Field(ge=1)] = 1
    created_at: int


class TraitDeclaration(Declaration):
    """A computed trait; `id` is the trait's name. The caller checks `compute` by compiling it, and raises `version`
    with each edit."""

    id: TraitName
    name: Name = ""
    compute: dict[str, Any]
    version: Annotated[int, Field(ge=1)] = 1
    created_at: int


class Webhook(Declaration):
    """The secret signs deliveries, so the log stores it in plain text; `repr`, `str` and dumps mask it."""

    url: Annotated[str, Field(min_length=1, max_length=2000)]
    secret: Annotated[SecretStr, Field(min_length=1, max_length=500)]

    @field_serializer("secret")
    def _mask(self, secret: SecretStr, info: SerializationInfo) -> str:
        revealed = isinstance(info.context, Mapping) and info.context.get("reveal") is True
        return secret.get_secret_value() if revealed else str(secret)


LawfulBasis = Literal[
    "consent", "contract", "legal_obligation", "vital_interests", "public_task", "legitimate_interests"
]
"""The six of Article 6 (1) GDPR."""

Default = Literal["granted", "denied"]
GRANTED: Final = "granted"
DENIED: Final = "denied"


class Purpose(Declaration):
    """What data about people is used for. `default`: whether it may be where a person has stated nothing."""

    id: Id
    name: Name = ""
    lawful_basis: LawfulBasis = "consent"
    default: Default = DENIED
    created_at: int


Cause = Literal["event", "time", "merge", "split", "consent", "erased", "backfill", "edited", "deleted"]
"""Why a profile entered or left a segment: the causes that a trigger may ask for. Transitions have two more causes,
`replay` and `absorbed`, which call nobody: neither the customer nor the segment's rule has changed."""

DEFAULT_CAUSES: Final[tuple[Cause, ...]] = ("event", "time", "merge", "consent", "erased")
"""What happened to the customer; `erased` tells other systems to forget whoever was forgotten here. Without `split`:
both sides were one profile before, which has been greeted already. Without changes of the segment by an operator
(`backfill`, `edited`, `deleted`): editing a rule must not call a million people."""


class Trigger(Declaration):
    """Calls `webhook` when profiles enter or leave `segment` (`on`), for one of the `causes`; with a `purpose`, about
    those who allow it."""

    id: Id
    segment: Slug
    on: Annotated[tuple[Literal["entered", "exited"], ...], Field(min_length=1, max_length=2)]
    causes: Annotated[tuple[Cause, ...], Field(min_length=1)] = DEFAULT_CAUSES
    webhook: Webhook
    purpose: Id | None = None
    enabled: bool = True
    created_at: int


class Retention(Declaration):
    """For how many `days` after their time events of a `type` and a `source` are kept; "" is any of them. `REJECTED` is
    the type of rejected events, for which the time of receipt counts. Of several that fit an event, the shortest
    holds."""

    id: Id
    type: Annotated[str, Field(max_length=200)] = ""
    source: Annotated[str, Field(max_length=200)] = ""
    days: Annotated[int, Field(ge=1, le=36_500)]
    created_at: int


REJECTED: Final = "rejected"

Kind = Literal[
    "source", "token", "segment", "trait", "trigger", "purpose", "retention", "rules", "merge", "split", "erase",
    "returning", "asked", "answered",
]  # fmt: skip


SET_ASIDE = "set_aside"
"""The kind of a record of the projections: the declaration of a segment, or of a computed trait by its `trait_unit`,
is not in effect, for a `reason`. `offset`: the declaration's."""

POISON = "poison"
"""The kind of a record of the projections: from here on every process leaves out an input, named by its position in the
log, or a profile, for a `reason`. A `delete` reverts that."""

CONSTANT = "constant"
"""The kind of a record of the projections: from here on a computed trait, by its `trait_unit` and `version`, reckons
with this `usual_gap` of the workspace, in millionths of a day, as it was on a `day`. Whoever folds the topic reads it;
nobody computes it again."""

STOPPED = "stopped"
"""The kind of a record of the projections: a stage, by its name, has stopped for a `reason`, after `most` inputs in a
row that failed alone. A `delete` says that it has continued."""


def trait_unit(trait: str) -> str:
    """The name of a computed trait among segments and traits: no segment's id has a colon."""
    return f"trait:{trait}"


class RegistryRecord(BaseModel):
    """One record of `simorgh.registry`. `repr` omits the body, which may contain a secret."""

    model_config = ConfigDict(frozen=True)

    kind: str
    op: Literal["put", "delete"]
    id: str
    body: Annotated[dict[str, Any], Field(repr=False)] = {}
    at: int
    by: str


def by_projections(kind: str, id: str, body: Mapping[str, object] | None, at: int) -> Message:
    """A record of the projections for simorgh.registry. A body of None takes back the one of this id. `at`: ms."""
    op = "delete" if body is None else "put"
    value = {"kind": kind, "op": op, "id": id, "body": body or {}, "at": at, "by": "projections"}
    return f"{kind}/{id}".encode(), orjson.dumps(value)
