"""What people declare, as frozen models, and the record that a declaration is in the log.

Times are int ms since 1970 UTC. Unknown fields are refused: a misspelt setting is not silently ignored.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, tzinfo
from functools import cached_property
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, SecretStr, SerializationInfo, field_serializer, model_validator

from registry.scopes import PERSONAL, Scope
from schemas.custom import folded

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,99}$")]
Name = Annotated[str, Field(max_length=200)]
EventName = Annotated[str, Field(min_length=1, max_length=200)]
FieldPath = Annotated[str, Field(pattern=r"^(traits|properties|context)(\.[^.]+)+$", max_length=200)]
"""A field of an event, such as `traits.city` or `properties.delivery.note`."""
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

IdentityRules = dict[str, Any]
"""The body of a `rules` declaration; `identity.rules` gives it meaning."""


class Declaration(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


TRUSTED_CHANNELS: Final = frozenset({"server", "pos", "email", "chat", "social", "phone", "feedback"})
"""Where computers of a company or a vendor send, not people's browsers and devices."""
TRUSTED_RANK: Final = 10
OTHER_RANK: Final = 20
"""Ranks of trust by channel: what a till or a server tells counts before what a browser does."""


class Budget(Declaration):
    """How much a source may bring. None: the workspace's default (SIMORGH_BUDGET_…); 0: any number."""

    events_per_second: Annotated[int, Field(ge=0)] | None = None
    megabytes_per_day: Annotated[int, Field(ge=0)] | None = None
    types_per_day: Annotated[int, Field(ge=0)] | None = None
    names_per_day: Annotated[int, Field(ge=0)] | None = None
    identifiers_per_day: Annotated[int, Field(ge=0)] | None = None


UNLIMITED: Final = Budget(
    events_per_second=0, megabytes_per_day=0, types_per_day=0, names_per_day=0, identifiers_per_day=0
)
"""For what the operator does: imports, retries."""


class KeyNote(Declaration):
    """What may be told of a write key: when it was made, and its beginning, which is no secret."""

    created_at: int
    begins: Annotated[str, Field(max_length=40)]


class Source(Declaration):
    """Where events come from, and how what is unclear in them is read: docs/sending.md tells each setting.

    Two keys may live side by side, so that a key can be changed without a gap. None: as the workspace has it, or as
    the channel suggests. Whether a type, region or zone exists is asked where it is declared, not here: a record
    that was once taken is always read.
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
    """accept: what does not fit its schema is read or left out, and flagged."""
    allowed_origins: tuple[str, ...] = ("*",)
    budget: Budget = Budget()
    clock: Literal["trusted", "untrusted"] | None = None
    """Whether what was sent long before it came was held up, or misdated."""
    time_zone: Annotated[str, Field(max_length=100)] | None = None
    """IANA's name, for times without an offset; None: UTC."""
    region: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] | None = None
    """ISO 3166, for phone numbers without a country."""
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = None
    """ISO 4217, for orders without one; IRT is the toman."""
    book: Slug | None = None
    """Tellings of one fact are compared within a book. None: the source's own id."""
    trust: Annotated[int, Field(ge=0, le=1000)] | None = None
    """Of two tellings of one fact, that of the lowest number counts. None: as the channel suggests."""
    aliases: Annotated[dict[EventName, EventName], Field(max_length=200)] = {}
    """Names of track events of one's own -> types of the catalogue."""
    personal: Annotated[tuple[FieldPath, ...], Field(max_length=200)] = ()
    """Fields that are personal, with all below them, beside those that the schemas mark."""
    not_personal: Annotated[tuple[FieldPath, ...], Field(max_length=200)] = ()
    """Fields that are not, though no schema declares them, or one marks them."""

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
    """None: made by an earlier version, or the environment's."""
    masked: bool = False
    """Made without the scope `personal`. Tokens of versions that did not know it have it."""

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


class Webhook(Declaration):
    """The secret signs deliveries, so the log keeps it in plain; `repr`, `str` and dumps mask it."""

    url: Annotated[str, Field(min_length=1, max_length=2000)]
    secret: Annotated[SecretStr, Field(min_length=1, max_length=500)]

    @field_serializer("secret")
    def _mask(self, secret: SecretStr, info: SerializationInfo) -> str:
        revealed = isinstance(info.context, Mapping) and info.context.get("reveal") is True
        return secret.get_secret_value() if revealed else str(secret)


Cause = Literal["event", "time", "merge", "split", "consent", "backfill", "edited", "deleted"]
"""Why a profile entered or left a segment: the causes that a trigger may ask for. Transitions have two more, `replay`
and `absorbed`, which call nobody: nothing has changed for the customer, nor in the segment's rule."""

DEFAULT_CAUSES: Final[tuple[Cause, ...]] = ("event", "time", "merge", "consent")
"""What happened to the customer. Not `split`: both sides were one profile before, which has been greeted already. Nor
what an operator did to the segment (`backfill`, `edited`, `deleted`): editing a rule must not page a million people."""


class Trigger(Declaration):
    """Calls `webhook` about the profiles that enter or leave `segment`, as `on` says, for one of the `causes`."""

    id: Id
    segment: Slug
    on: Annotated[tuple[Literal["entered", "exited"], ...], Field(min_length=1, max_length=2)]
    causes: Annotated[tuple[Cause, ...], Field(min_length=1)] = DEFAULT_CAUSES
    webhook: Webhook
    enabled: bool = True
    created_at: int


Kind = Literal["source", "token", "segment", "trigger", "rules", "merge", "split"]


SET_ASIDE = "set_aside"
"""The kind of a record of the projections: the declaration of a segment, by its `offset`, is not in effect, for a
`reason`."""

POISON = "poison"
"""The kind of a record of the projections: an input, named by its place in the log, or a profile, is left out by every
process from here on, for a `reason`. A `delete` takes that back."""

STOPPED = "stopped"
"""The kind of a record of the projections: a stage, by its name, has stopped for a `reason`, after `most` inputs in a
row that failed alone. A `delete` says that it went on."""


class RegistryRecord(BaseModel):
    """One record of `simorgh.registry`. The body is left out of `repr`: it may hold a secret."""

    model_config = ConfigDict(frozen=True)

    kind: str
    op: Literal["put", "delete"]
    id: str
    body: Annotated[dict[str, Any], Field(repr=False)] = {}
    at: int
    by: str
