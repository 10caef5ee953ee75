"""What people declare, as frozen models, and the record that a declaration is in the log.

Times are int ms since 1970 UTC. Unknown fields are refused: a misspelt setting is not silently ignored.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, SerializationInfo, field_serializer

from registry.scopes import Scope

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,99}$")]
Name = Annotated[str, Field(max_length=200)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

IdentityRules = dict[str, Any]
"""The body of a `rules` declaration; `identity.rules` gives it meaning."""


class Declaration(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class KeyNote(Declaration):
    """What may be told of a write key: when it was made, and its beginning, which is no secret."""

    created_at: int
    begins: Annotated[str, Field(max_length=40)]


class Source(Declaration):
    """Where events come from. Two keys may live side by side, so that a key can be changed without a gap."""

    id: Slug
    name: Name = ""
    channel: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,49}$")] = "web"
    write_key_sha256: Annotated[tuple[Digest, ...], Field(max_length=2)] = ()
    key_notes: dict[Digest, KeyNote] = {}
    """By digest; keys of earlier versions have none."""
    enabled: bool = True
    unplanned: Literal["accept", "reject"] = "accept"
    allowed_origins: tuple[str, ...] = ("*",)


class Token(Declaration):
    id: Id
    name: Name = ""
    token_sha256: Digest
    scopes: frozenset[Scope]
    expires_at: int | None = None
    created_at: int | None = None
    """None: made by an earlier version, or the environment's."""


class SegmentDeclaration(Declaration):
    """`rule` is checked by who compiles it; `version` is raised by who edits it."""

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


class Trigger(Declaration):
    id: Id
    segment: Slug
    on: Annotated[tuple[Literal["entered", "exited"], ...], Field(min_length=1, max_length=2)]
    webhook: Webhook
    enabled: bool = True
    created_at: int


Kind = Literal["source", "token", "segment", "trigger", "rules", "merge", "split"]


class RegistryRecord(BaseModel):
    """One record of `simorgh.registry`. The body is left out of `repr`: it may hold a secret."""

    model_config = ConfigDict(frozen=True)

    kind: str
    op: Literal["put", "delete"]
    id: str
    body: Annotated[dict[str, Any], Field(repr=False)] = {}
    at: int
    by: str
