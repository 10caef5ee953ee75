"""The door: the one place where an envelope is made. Made once, never recomputed.

Every way in (SDKs, CloudEvents, vendors' webhooks, files) brings its events here as `Incoming`. The door
checks, corrects the clock, normalises and hashes identifiers, reads the money, and answers with the record to
append: one for `simorgh.events`, or one for `simorgh.rejected` that holds the original bytes and the reason.
It never raises for what a sender sent, does no I/O and may be called from any thread.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Final, NamedTuple

import orjson

from eventlog.port import Message
from identity.nodes import Hasher, event_hasher, node_of, to_hex
from identity.normalise import NORMALISER_VERSION, normalise
from identity.rules import IdentityRules
from producers import limits
from producers.budgets import Budgets
from producers.limits import MAX_KEYS, check_id, encode
from producers.money import FIELDS as MONEY_TYPES
from producers.money import money_of
from producers.recent import Recent
from producers.times import TRANSIT, correct
from registry.models import Source
from schemas.catalog import Catalog
from schemas.clock import IdMaker, iso
from schemas.errors import InvalidEvent, InvalidIdentifier

Object = Mapping[str, object]
Values = Sequence[tuple[str, object]]

STRICT: Final = frozenset({"user_id", "anonymous_id"})
"""A wrong one refuses the event; a wrong email or phone among traits merely identifies nobody."""

IDENTIFIED: Final = "profile.identified"
CUSTOM: Final = "custom"

IGNORED: Final = "identifier_ignored"
BLOCKED: Final = "identifier_blocked"
UNPLANNED: Final = "unplanned"

CACHED_REQUESTS: Final = 64
CACHED_PERSONS: Final = 65_536
CACHED_IDENTIFIERS: Final = 16_384
"""The same people come again and again; phones take libphonenumber 100 µs each. Some 60 MB when full."""

LONGEST_CACHED: Final = 400
"""Bytes of the identifiers of a person that is kept: the cache must stay small whatever is sent."""


class Incoming(NamedTuple):
    """One event as a connector understood it, before any check of ours. Times in ms.

    `id`: unique within its source, stable over the sender's retries. `place`: which one of its request it is, from 0.
    `identifiers`: (type, value as received); None and "" are skipped.
    `strict`: any wrong identifier refuses the event, not only one of `STRICT`.
    `alias`: its links override the limit of one user id.
    `name`: the sender's own name of it. `dataschema`: type and version where it is not the newest.
    """

    type: str
    id: str
    source: Source
    channel: str
    received_at: int
    place: int = 0
    original_time: int | None = None
    sent_at: int | None = None
    identifiers: Values = ()
    traits: Object | None = None
    properties: Object | None = None
    context: Object | None = None
    consent: Object | None = None
    name: str | None = None
    dataschema: str | None = None
    alias: bool = False
    strict: bool = False


class Refused(NamedTuple):
    """`message` goes to simorgh.rejected. `code` is stable; `reason` is for people and quotes no value."""

    id: str
    code: str
    reason: str
    message: Message


Verdict = Message | Refused
"""What goes to simorgh.events; or that the event was refused, and why."""


@dataclass(frozen=True, slots=True)
class _Planned:
    """A type of the catalogue. `is_valid` may say no to what the catalogue takes, never yes to what it refuses."""

    dataschema: str
    is_valid: Callable[[Object], bool]


class _Identifier(NamedTuple):
    """`rank`: the lowest comes first. `subject`: the envelope's, if this is the anchor."""

    rank: int
    node: int
    subject: str
    entry: dict[str, object]


_RANK: Final = attrgetter("rank")


class Door:
    """`secret` keys the hashes, `rules` answers with the identity rules in force.

    `transit`: ms that a request may be on the way before its sender's clock is taken for a slow one.

    Events received in the same millisecond, such as those of one request, are read under the same rules.
    """

    def __init__(
        self,
        secret: bytes,
        workspace: str,
        rules: Callable[[], IdentityRules],
        catalog: Catalog,
        new_id: IdMaker,
        *,
        transit: int = TRANSIT,
        budgets: Budgets | None = None,
    ) -> None:
        self._secret = secret
        self._workspace = workspace
        self._rules_now = rules
        self._rules = rules()
        self._asked_at: int | None = None
        self._catalog = catalog
        self._new_id = new_id
        self._transit = transit
        self._budgets = budgets
        self._planned = {
            event.type: _Planned(event.dataschema, catalog.quick_check(event.type)) for event in catalog.all()
        }
        self._persons: Recent[bytes, bytes] = Recent(CACHED_PERSONS)
        self._shared = lru_cache(CACHED_REQUESTS)(self._read_shared)
        self._identifier = lru_cache(CACHED_IDENTIFIERS)(self._read_identifier)

    def admit(self, incoming: Incoming, raw: bytes | Object) -> Verdict:
        """Check the event and make its record. Never raises for what was sent.

        `raw`: the event's original bytes, or the parsed JSON of one that is within the limit of one event; kept if
        the event is refused.
        """
        try:
            if isinstance(raw, bytes):
                limits.check_size(raw)
            return self.record(*incoming)
        except InvalidEvent as error:
            return self.refuse(
                error,
                incoming.id,
                raw,
                source=incoming.source,
                channel=incoming.channel,
                received_at=incoming.received_at,
                place=incoming.place,
            )

    def refuse(
        self,
        error: InvalidEvent,
        id: str,
        raw: bytes | Object,
        *,
        source: Source,
        received_at: int,
        place: int = 0,
        channel: str | None = None,
    ) -> Refused:
        """The record that keeps a refused event: its bytes and the reason, under its own id if it has one."""
        payload = raw if isinstance(raw, bytes) else dump(raw)
        safe_id = id if _is_id(id) else self._new_id()
        record = {
            "id": safe_id,
            "code": error.code,
            "reason": error.message,
            "source": source.id,
            "channel": channel or source.channel,
            "received_at": iso(received_at),
            "place": place,
            **_payload(payload),
            "digest": int.from_bytes(hashlib.blake2b(payload, digest_size=8).digest(), "big"),
        }
        return Refused(safe_id, error.code, error.message, (safe_id.encode(), orjson.dumps(record)))

    def forget_cached(self) -> None:
        """Empty the caches of identifiers."""
        self._persons.clear()
        self._identifier.cache_clear()

    # --- The envelope: what many events share is written once ---

    def record(
        self,
        type_: str,
        id: str,
        source: Source,
        channel: str,
        received_at: int,
        place: int,
        original: int | None,
        sent_at: int | None,
        values: Values,
        traits: Object | None,
        properties: Object | None,
        context: Object | None,
        consent: Object | None,
        name: str | None,
        dataschema: str | None,
        alias: bool = False,
        strict: bool = False,
    ) -> Message:
        """The record for simorgh.events of an event with the fields of `Incoming`. Its size is the caller's to check.

        Raises `InvalidEvent`. Every event of every customer comes through here: what is usual stands in place, for
        a call takes as long as two of its lines, and what is rare is called.
        """
        id_bytes = check_id(id)
        traits, properties = traits or {}, properties or {}
        if len(traits) > MAX_KEYS or len(properties) > MAX_KEYS:
            raise limits.too_many_keys(traits, properties)
        flags: tuple[str, ...] = ()
        planned = self._planned.get(type_)
        if planned is None:
            _check_unplanned(source)
            flags = (UNPLANNED,)
        elif not planned.is_valid(told := traits if type_ == IDENTIFIED else properties):
            self._check(type_, told)
        if received_at != self._asked_at:
            self._follow_rules(received_at)
        if self._budgets is not None:
            self._budgets.names(source, type_ if planned is None else None, traits, properties, received_at)
        time, corrected = correct(original, sent_at, received_at, source.trusts_clock, self._transit)
        person = self._persons[dump(values)]
        if person is None:
            person, ignored = self._read_person(values, strict, source, received_at)
            flags += ignored
        head, hasher = self._shared(source.id, channel, received_at, sent_at)
        hasher = hasher.copy()
        hasher.update(id_bytes)
        key = hasher.hexdigest()
        own: dict[str, object] = {
            "key": key,
            "id": id,
            "type": type_,
            "time": iso(time),
            "place": place,
            "dataschema": dataschema or (CUSTOM if planned is None else planned.dataschema),
            "traits": traits,
            "properties": properties,
            "context": context or {},
        }
        if corrected and original is not None:
            flags += corrected
            own["original_time"] = iso(original)
        if flags:
            own["flags"] = flags
        if alias:
            own["alias"] = True
        if consent:
            own["consent"] = consent
        if type_ in MONEY_TYPES and (money := money_of(type_, properties)) is not None:
            own["money"] = money
        if name is not None:
            own["name"] = name
        return key.encode(), b"".join((head, person, encode(own)[1:]))

    def _read_shared(self, source: str, channel: str, received_at: int, sent_at: int | None) -> tuple[bytes, Hasher]:
        """The brace and the members with which all events of a request begin, and what their keys begin with."""
        members: dict[str, object] = {
            "specversion": "1.0",
            "source": f"/sources/{source}",
            "workspace": self._workspace,
            "channel": channel,
            "received_at": iso(received_at),
        }
        if sent_at is not None:
            members["sent_at"] = iso(sent_at)
        return b"{" + _members(members), event_hasher(self._secret, self._workspace, source)

    def _check(self, type_: str, values: Object) -> None:
        """Raises `InvalidEvent` for a fault."""
        fault = self._catalog.check(type_, values)
        if fault is not None:
            place = "traits" if type_ == IDENTIFIED else "properties"
            raise InvalidEvent(f"{place}{fault}; see /v1/schemas/{type_}", code="schema_violation")

    # --- Identifiers ---

    def _read_person(
        self, values: Values, strict: bool, source: Source, received_at: int
    ) -> tuple[bytes, tuple[str, ...]]:
        """What the values say together: `identifiers` and `subject` of the envelope as JSON, and flags.

        Raises `InvalidEvent`.
        """
        flags: list[str] = []
        found: dict[int, _Identifier] = {}
        for type_, value in values:
            if value is None or value == "":
                continue
            try:
                known = self._identifier(type_, _text(type_, value))
            except InvalidIdentifier as error:
                if strict or type_ in STRICT:
                    raise InvalidEvent(error.message, code=error.code) from error
                _flag(flags, IGNORED)
                continue
            if known is None:
                _flag(flags, BLOCKED)
            else:
                found.setdefault(known.node, known)
        if self._budgets is not None:
            self._budgets.identifiers(source, found.keys(), received_at)
        person = _person(sorted(found.values(), key=_RANK))
        key = dump(values)
        if not flags and len(key) <= LONGEST_CACHED and all(isinstance(value, str) for _, value in values):
            self._persons.put(key, person)
        return person, tuple(flags)

    def _follow_rules(self, now: int) -> None:
        self._asked_at = now
        rules = self._rules_now()
        if rules is not self._rules:
            self._rules = rules
            self.forget_cached()

    def _read_identifier(self, type_: str, value: str) -> _Identifier | None:
        """None where the rules block it. Raises `InvalidIdentifier`."""
        normalised = normalise(type_, value)
        if self._rules.is_blocked(type_, normalised):
            return None
        node = node_of(self._secret, self._workspace, type_, normalised)
        entry: dict[str, object] = {
            "type": type_,
            "value": value,
            "normalised": normalised,
            "normaliser": NORMALISER_VERSION,
            "node": to_hex(node),
        }
        return _Identifier(self._rules.rank(type_), node, f"{type_}:{normalised}", entry)


def _person(identifiers: Sequence[_Identifier]) -> bytes:
    members: dict[str, object] = {"identifiers": [identifier.entry for identifier in identifiers]}
    if identifiers:
        members["subject"] = identifiers[0].subject
    return _members(members)


def _members(values: Object) -> bytes:
    """As JSON without the braces, a comma at the end."""
    return encode(values)[1:-1] + b","


def dump(value: object) -> bytes:
    """Parsed JSON as bytes again, whatever the parser let through (deep nesting, lone surrogates, NaN)."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return _dump_slowly(value)


def _dump_slowly(value: object) -> bytes:
    try:
        return json.dumps(value).encode()
    except RecursionError:
        return b"{}"  # deeper than any parser of ours reads: cannot come from a request


def _payload(payload: bytes) -> dict[str, str]:
    try:
        return {"payload": payload.decode()}
    except UnicodeDecodeError:
        return {"payload_base64": base64.b64encode(payload).decode()}


def _is_id(id: str) -> bool:
    try:
        check_id(id)
    except InvalidEvent:
        return False
    return True


def _check_unplanned(source: Source) -> None:
    if source.unplanned == "reject":
        raise InvalidEvent(
            "type: wanted one of the catalogue's, got another; name a type of /v1/schemas, or let the source "
            "take others",
            code="unplanned_event",
        )


def _text(type_: str, value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or "\x00" in value:
        raise InvalidIdentifier(
            f"{type_}: wanted a text without NUL, got something else; send the identifier as a text"
        )
    return value


def _flag(flags: list[str], flag: str) -> None:
    if flag not in flags:
        flags.append(flag)
