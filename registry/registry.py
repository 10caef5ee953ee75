"""Declarations: appended to `simorgh.registry`, and folded by every process that needs them."""

import logging
import threading
from collections.abc import Iterable, Mapping
from typing import Any, get_args

import orjson
from pydantic import ValidationError

from eventlog.port import Record, RecordLog
from registry.erasures import ERASE, KINDS, REFUSE, Erasures, Returning
from registry.keys import sha256_hex
from registry.models import (
    POISON,
    UNLIMITED,
    Kind,
    Purpose,
    RegistryRecord,
    Retention,
    SegmentDeclaration,
    Source,
    Token,
    TraitDeclaration,
    Trigger,
)
from registry.scopes import ALL_SCOPES
from registry.snapshot import MODELS, Declared, Effect, Snapshot, faults
from schemas.clock import Clock
from schemas.errors import Conflict, InvalidInput, InvalidSettings, NotFound
from schemas.topics import REGISTRY

logger = logging.getLogger(__name__)

ENV_SOURCE = "default"
"""Id of the source that `SIMORGH_WRITE_KEY` belongs to."""

ENV_TOKEN = "env"
"""Id of the token in `SIMORGH_API_TOKEN`."""

LOCAL = "local"
"""Id of the token of this machine's command line."""

FILES_SOURCE = "files"
"""Id of the source of files that the command line imports."""

STEP = 1000  # records per read


class Registry:
    """The present declarations, as far as `refresh` has read. All methods may be called from any thread.

    The properties and `authenticate_…` never touch the log: they answer from an immutable snapshot, which
    `refresh` replaces. Of two processes that declare the same thing at once, the later record wins.

    `env_write_key` and `env_token` (1 to 200 printable characters, else `InvalidSettings`) are valid as long as this
    object lives and are never written to the log. While the write key is set, the source `default` is the
    environment's, with default settings; keys declared for `default` continue to work and belong to it.
    """

    def __init__(
        self,
        log: RecordLog,
        clock: Clock,
        *,
        env_write_key: str | None = None,
        env_token: str | None = None,
        returning: Returning = REFUSE,
    ) -> None:
        """`returning`: of requests for erasure that do not say it."""
        self._returning = returning
        self._log = log
        self._clock = clock
        self._refreshing = threading.Lock()
        source = token = None
        if env_write_key is not None:
            digest = _env_digest("SIMORGH_WRITE_KEY", env_write_key)
            source = Source(id=ENV_SOURCE, name="SIMORGH_WRITE_KEY", write_key_sha256=(digest,))
        if env_token is not None:
            digest = _env_digest("SIMORGH_API_TOKEN", env_token)
            token = Token(id=ENV_TOKEN, name="SIMORGH_API_TOKEN", token_sha256=digest, scopes=ALL_SCOPES)
        self._env_source, self._env_token = source, token
        self.erasures = Erasures()
        self._now = Snapshot(Declared(), source, token)
        self._local: dict[str, tuple[Source, Token]] = {}

    def trust(self, secret: str) -> None:
        """Accept `secret` as a token with every scope and as the write key of the source `files`, as long as this
        object lives. The command line of this machine uses it to call the process that has the folder open."""
        digest = sha256_hex(secret)
        token = Token(id=LOCAL, name="command line", token_sha256=digest, scopes=ALL_SCOPES)
        source = Source(id=FILES_SOURCE, name="imported files", channel="server", budget=UNLIMITED)
        self._local = {digest: (source, token)}

    def is_own(self, source: Source) -> bool:
        """Whether it is the source of `trust`, and not a declared one of the same name."""
        return any(source is own for own, _ in self._local.values())

    # --- declarations

    @property
    def sources(self) -> Mapping[str, Source]:
        return self._now.sources

    @property
    def tokens(self) -> Mapping[str, Token]:
        return self._now.tokens

    @property
    def segments(self) -> Mapping[str, SegmentDeclaration]:
        return self._now.segments

    @property
    def traits(self) -> Mapping[str, TraitDeclaration]:
        """The computed traits, by name."""
        return self._now.traits

    @property
    def constants(self) -> Mapping[str, Mapping[str, Any]]:
        """What computed traits reckon with, by their `trait_unit`: `usual_gap`, for a `version`."""
        return self._now.declared.constants

    @property
    def effects(self) -> Mapping[str, Effect]:
        """The progress of the latest declaration or deletion of each segment, and of each computed trait by its
        `trait_unit`."""
        return self._now.declared.effects

    @property
    def triggers(self) -> Mapping[str, Trigger]:
        return self._now.triggers

    @property
    def purposes(self) -> Mapping[str, Purpose]:
        """What data is used for, by id."""
        return self._now.purposes

    @property
    def retentions(self) -> Mapping[str, Retention]:
        """How long events are kept, by id."""
        return self._now.retentions

    @property
    def rules(self) -> Mapping[str, Any] | None:
        """The latest declared identity rules; None if there are none."""
        return self._now.rules

    @property
    def poison(self) -> Mapping[str, Mapping[str, Any]]:
        """The inputs that the projections have set aside, by name."""
        return self._now.declared.poison

    @property
    def stopped(self) -> Mapping[str, Mapping[str, Any]]:
        """The stages that have stopped after setting aside too much, by their names."""
        return self._now.declared.stopped

    @property
    def position(self) -> int:
        """The offset of the first record that `refresh` has not read yet."""
        return self._now.declared.position

    def refresh(self) -> bool:
        """Fold the records appended since the last time. True if there were any; cheap if not."""
        with self._refreshing:
            before = self._now.declared
            if self._log.ends(REGISTRY)[0] <= before.position:
                return False
            parsed = [(record.offset, _parse(record)) for record in self._read(before.position)]
            after = before.fold(parsed)
            self._fold_erasures(parsed)
            self._now = Snapshot(after, self._env_source, self._env_token)
            return True

    def _fold_erasures(self, records: Iterable[tuple[int, RegistryRecord | None]]) -> None:
        for offset, record in records:
            if record is not None and record.kind in KINDS:
                try:
                    self.erasures.fold(offset, record.kind, record.id, record.body, record.at, record.by)
                except (ValueError, TypeError, LookupError) as error:
                    logger.warning("registry record %d is left out: %s", offset, type(error).__name__)

    def records_from(self, offset: int) -> list[tuple[int, RegistryRecord]]:
        """Every record from `offset` to the end, with its offset. Unreadable ones are skipped with a warning."""
        parsed = ((record.offset, _parse(record)) for record in self._read(offset))
        return [(position, record) for position, record in parsed if record is not None]

    def _read(self, offset: int) -> list[Record]:
        records: list[Record] = []
        while step := self._log.read(REGISTRY, 0, offset + len(records), STEP):
            records += step
        return records

    # --- declaring

    def declare(self, kind: Kind, id: str, body: Mapping[str, Any], by: str) -> int:
        """Check, append, refresh; returns the record's offset. `by` says who declares it. The body may omit `id` and
        `created_at` (the one of the replaced declaration, else now). The stored declaration is complete: it replaces
        the former one. Raises `InvalidInput` naming the fields that are wrong, and `Conflict` for the source or token
        that the environment holds. Webhook secrets come in plain.
        """
        self._refuse_environment(kind, id)
        self.refresh()
        return self._append("put", kind, id, self._checked(kind, id, dict(body)), by)

    def declare_all(self, kind: Kind, bodies: Mapping[str, Mapping[str, Any]], by: str) -> int:
        """The same for many at once, by id, in one write; returns the last offset."""
        for id in bodies:
            self._refuse_environment(kind, id)
        self.refresh()
        return self._append_all(
            "put", kind, {id: self._checked(kind, id, dict(body)) for id, body in bodies.items()}, by
        )

    def withdraw(self, kind: Kind, id: str, by: str) -> int:
        """Withdraw a declaration; returns the record's offset. Raises `NotFound` when there is none."""
        self._refuse_environment(kind, id)
        self.refresh()
        if id not in self._now.declared.ids(kind):
            raise NotFound(f"Registry: wanted a {kind} to withdraw, got an id of none; list them first")
        return self._append("delete", kind, id, {}, by)

    def take_back(self, name: str, by: str) -> int:
        """Let the projections retry an input that they have set aside; returns the record's offset."""
        return self._append("delete", POISON, name, {}, by)

    def _append(self, op: str, kind: str, id: str, body: Mapping[str, Any], by: str) -> int:
        return self._append_all(op, kind, {id: body}, by)

    def _append_all(self, op: str, kind: str, bodies: Mapping[str, Mapping[str, Any]], by: str) -> int:
        said = {"kind": kind, "op": op, "at": self._clock(), "by": by}
        try:
            messages = [
                (f"{kind}/{id}".encode(), orjson.dumps({**said, "id": id, "body": body})) for id, body in bodies.items()
            ]
        except (orjson.JSONEncodeError, UnicodeEncodeError) as error:
            raise InvalidInput(
                f"Registry, {kind}: wanted a body that JSON can hold, got another; fix it: {error}"
            ) from None
        positions = self._log.append(REGISTRY, messages)
        for id in bodies if kind in MODELS else [""]:  # a steward's command may name a customer
            logger.info("%s%s: %s by %s", kind, f" {id}" if id else "", "declared" if op == "put" else "withdrawn", by)
        self.refresh()
        return positions[-1][1]

    def _checked(self, kind: Kind, id: str, body: dict[str, Any]) -> dict[str, Any]:
        if kind not in get_args(Kind):
            raise InvalidInput(
                f"Registry: wanted a kind of {', '.join(get_args(Kind))}, got another; name one of these"
            )
        if kind == ERASE:
            return {"returning": self._returning, **body}
        if kind not in MODELS:
            return body
        if body.setdefault("id", id) != id:
            raise InvalidInput(f"Registry, {kind}: wanted one id, got another in the body; leave it out there")
        if "created_at" in MODELS[kind].model_fields and "created_at" not in body:
            known: Any = self._now.declared.ids(kind).get(id)
            body["created_at"] = known.created_at if known else self._clock()
        try:
            model = MODELS[kind].model_validate(body)
        except ValidationError as error:
            raise InvalidInput(f"Registry, {kind}: {faults(error)}", code=f"invalid_{kind}") from None
        return model.model_dump(mode="json", context={"reveal": True})

    def _refuse_environment(self, kind: Kind, id: str) -> None:
        held = {("source", ENV_SOURCE): self._env_source, ("token", ENV_TOKEN): self._env_token}
        if holder := held.get((kind, id)):
            raise Conflict(
                f"Registry, {kind} {id}: wanted a declared one, got one set by {holder.name}; unset that variable,"
                " or use another id"
            )

    # --- authentication

    def authenticate_write_key(self, key: str) -> Source | None:
        """The enabled source of this key; None when there is none or it is disabled."""
        digest = sha256_hex(key)
        local = self._local.get(digest)
        return local[0] if local else self._now.by_write_key.get(digest)

    def authenticate_token(self, token: str) -> Token | None:
        """The token, when it is known and has not expired by the registry's clock."""
        digest = sha256_hex(token)
        local = self._local.get(digest)
        known = local[1] if local else self._now.by_token.get(digest)
        if known is None or self._expired(known):
            return None
        return known

    def holds(self, token: Token) -> bool:
        """Whether a token that was accepted earlier is still valid: unchanged, and not expired."""
        digest = token.token_sha256
        local = self._local.get(digest)
        known = local[1] if local else self._now.by_token.get(digest)
        return known == token and not self._expired(token)

    def _expired(self, token: Token) -> bool:
        return token.expires_at is not None and token.expires_at <= self._clock()


def _parse(record: Record) -> RegistryRecord | None:
    try:
        return RegistryRecord.model_validate(orjson.loads(record.value))
    except (orjson.JSONDecodeError, ValidationError) as error:
        why = faults(error) if isinstance(error, ValidationError) else "not JSON"
        logger.warning("registry record %d cannot be read and is left out: %s", record.offset, why)
        return None


def _env_digest(variable: str, value: str) -> str:
    if not (1 <= len(value) <= 200 and value.isprintable()):
        raise InvalidSettings(
            f"{variable}: wanted 1 to 200 printable characters, got {len(value)} characters"
            f"{'' if value.isprintable() else ', some not printable'}; change or unset it"
        )
    return sha256_hex(value)
