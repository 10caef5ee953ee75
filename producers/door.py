"""The door: the one place where an envelope is made. Made once, never recomputed.

Every connector (SDKs, CloudEvents, vendors' webhooks, files) passes its events here as `Incoming`. The door checks
them, corrects the clock, normalises and hashes identifiers, reads the money, and returns the record to append: one for
`simorgh.events`, or one for `simorgh.rejected` that holds the original bytes and the reason. It raises for nothing that
a sender sends, and may be called from any thread. Its only I/O: with a sealer, it looks up the keys of people whom
it has not seen lately.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import islice, product
from operator import attrgetter
from typing import Any, Final, NamedTuple

import orjson

from eventlog.port import Message
from identity.nodes import Hasher, event_hasher, fact_hasher, key_of, node_of, present_node, to_hex
from identity.normalise import NO_REGION, NORMALISER_VERSION, normalise
from identity.rules import IdentityRules
from privacy.keyring import DataKey, Name
from producers import addresses, limits, naming
from producers.budgets import Budgets
from producers.consent import STATING, with_stated
from producers.facts import business_value, in_camel_case
from producers.incoming import Incoming, Object, Values
from producers.limits import MAX_KEYS, check_id, encode
from producers.money import FIELDS as MONEY_TYPES
from producers.money import money_of
from producers.odd import LEFT_OUT, Odd
from producers.sealer import Sealer
from producers.times import TRANSIT, correct
from registry.models import Source
from schemas import accounts, records
from schemas.catalog import Catalog
from schemas.clock import IdMaker, iso
from schemas.errors import InvalidEvent, InvalidIdentifier
from schemas.recent import Recent
from schemas.records import Rejection

IDENTIFIED: Final = "profile.identified"
CUSTOM: Final = "custom"

IGNORED: Final = "identifier_ignored"
BLOCKED: Final = "identifier_blocked"
KEY_IGNORED: Final = "business_key_ignored"
ACCOUNT_IGNORED: Final = "account_ignored"
REPORTS_TO_IGNORED: Final = "reports_to_ignored"
UNPLANNED: Final = "unplanned"
HINT: Final = "hint"
SUPPRESSED: Final = "suppressed"
"""Of an event that names somebody who was forgotten: it is counted and not kept."""

_OBJECTS: Final = ("/properties", "/traits", "/context", "/properties/traits")

CACHED_REQUESTS: Final = 64
CACHED_BOOKS: Final = 1024
"""Of each type."""
CACHED_PERSONS: Final = 65_536
CACHED_IDENTIFIERS: Final = 16_384
"""The same people return again and again, and a phone number costs libphonenumber 100 µs. Some 60 MB when full."""

LONGEST_CACHED: Final = 400
"""The largest size in bytes of a cached person's identifiers: the cache must stay small, whatever is sent."""


class Refused(NamedTuple):
    """`message` goes to simorgh.rejected; None: it is not kept. `code` is stable; `reason` is for people and quotes no
    value."""

    id: str
    code: str
    reason: str
    message: Message | None


Verdict = Message | Refused
"""The record for simorgh.events, or that the event was refused and why."""


@dataclass(frozen=True, slots=True)
class _Planned:
    """A type of the catalogue. `is_valid` may reject what the catalogue accepts, never the other way round."""

    dataschema: str
    is_valid: Callable[[Object], bool]


class _Identifier(NamedTuple):
    """`rank`: the lowest comes first. `subject`: the envelope's, if this is the anchor."""

    rank: int
    node: int
    subject: str
    entry: dict[str, object]
    name: Name


class _Person(NamedTuple):
    """The identifiers of an event as members of the envelope, the key under which the rest of it is sealed, and the
    account that one of them names."""

    members: bytes
    key: DataKey | None = None
    account: str | None = None


FORGOTTEN: Final = "identifiers: wanted people who were not forgotten, got one who was; send no more of them"
_MOST_TEXTS: Final = 200
"""That are looked at in what cannot be read as an event."""

_RANK: Final = attrgetter("rank")


class Defaults(NamedTuple):
    """The workspace's defaults for sources. `transit`: ms that a request may be on the way before its sender's clock
    counts as slow. `region` (ISO 3166) applies to phone numbers without a country, `currency` (ISO 4217, or IRT) to
    orders without one; None and "": unknown.
    """

    transit: int = TRANSIT
    region: str | None = None
    currency: str = ""


class Door:
    """`secret` keys the hashes, `rules` returns the current identity rules. `defaults`: for sources without their own
    settings.

    Events received in the same millisecond, such as those of one request, are read under the same rules.
    """

    def __init__(
        self,
        secret: bytes,
        workspace: str,
        rules: Callable[[], IdentityRules],
        catalog: Catalog,
        new_id: IdMaker,
        defaults: Defaults = Defaults(),
        *,
        budgets: Budgets | None = None,
        sealer: Sealer | None = None,
        forgotten: Callable[[], Collection[int]] = tuple,
        returning: Callable[[], Collection[int]] = tuple,
    ) -> None:
        """Without a `sealer`, everything stands in the clear. `forgotten`: the nodes of people who were, which only
        become more; `returning`: those of them who may come back as somebody new."""
        self._forgotten_now = forgotten
        self._returning_now = returning
        self._forgotten: Collection[int] = ()
        self._returning: Collection[int] = ()
        self._forgotten_count = 0
        self._sealer = sealer
        self._secret = secret
        self._workspace = workspace
        self._rules_now = rules
        self._rules = rules()
        self._asked_at: int | None = None
        self._catalog = catalog
        self._new_id = new_id
        self._transit, self._region, self._currency = defaults
        self._budgets = budgets
        self._planned = {
            event.type: _Planned(event.dataschema, catalog.quick_check(event.type)) for event in catalog.all()
        }
        self._facts: dict[str, str | None] = dict.fromkeys(MONEY_TYPES)
        self._facts |= {event.type: event.business_key for event in catalog.all() if event.business_key}
        self._accounts = {
            event.type: frozenset({member, in_camel_case(member)})
            for event in catalog.all()
            if (member := accounts.member_of(event.type))
        }
        self._persons: Recent[bytes, _Person] = Recent(CACHED_PERSONS)
        self._fact_hasher = lru_cache(CACHED_BOOKS)(partial(fact_hasher, secret, workspace))
        self._shared = lru_cache(CACHED_REQUESTS)(self._read_shared)
        self._identifier = lru_cache(CACHED_IDENTIFIERS)(self._read_identifier)

    def admit(self, incoming: Incoming, raw: bytes | Object) -> Verdict:
        """Check the event and make its record. Never raises because of the event.

        `raw`: the event's original bytes, or the parsed JSON of one that is within the limit of one event; kept if
        the event is refused.
        """
        try:
            if isinstance(raw, bytes):
                limits.check_size(raw)
            return self.record(incoming)
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
        webhook: dict[str, Any] | None = None,
    ) -> Refused:
        """The record that keeps a refused event: its bytes and the reason, under its own id if it has one. `webhook`:
        what a retry needs to know of the vendor's request that it came in."""
        safe_id = id if _is_id(id) else self._new_id()
        if received_at != self._asked_at:
            self._follow_rules(received_at)
        if error.code == SUPPRESSED or (self._forgotten and self._names_forgotten(raw)):
            return Refused(safe_id, SUPPRESSED, FORGOTTEN, None)
        payload = raw if isinstance(raw, bytes) else dump(raw)
        if webhook is None:  # a signature covers every byte
            payload = addresses.in_refused(payload, source)
        text, encoded = _as_text(payload)
        rejection = Rejection(
            id=safe_id,
            code=error.code,
            reason=error.message,
            source=source.id,
            channel=channel or source.channel,
            received_at=iso(received_at),
            place=place,
            payload=text,
            payload_base64=encoded,
            digest=int.from_bytes(hashlib.blake2b(payload, digest_size=8).digest(), "big"),
            webhook=webhook,
        )
        return Refused(safe_id, error.code, error.message, (safe_id.encode(), records.encode(rejection)))

    def again(self, value: bytes) -> bytes | None:
        """An event of the log as it was read, for the log once more; None where its person was forgotten."""
        return value if self._sealer is None else self._sealer.again(value)

    def node(self, source: Source, type_: str, value: object) -> int | None:
        """The node of an identifier as this source sends it; None for one that is invalid or blocked."""
        region = (source.region or self._region) if type_ == "phone" else None
        try:
            known = self._identifier(type_, _text(type_, value), region)
        except InvalidIdentifier:
            return None
        return None if known is None else known.node

    def _names_forgotten(self, raw: bytes | Object) -> bool:
        """Whether a text in what cannot be read as an event is an identifier of somebody who was forgotten."""
        try:
            texts = list(islice(_scalars(orjson.loads(raw) if isinstance(raw, bytes) else raw), _MOST_TEXTS))
        except orjson.JSONDecodeError:
            return False
        for type_, text in product(self._rules.priorities, texts):
            with suppress(InvalidIdentifier):
                known = self._identifier(type_, _text(type_, text), self._region if type_ == "phone" else None)
                if known is not None and known.node in self._forgotten:
                    return True
        return False

    def forget_cached(self) -> None:
        """Empty the caches of identifiers."""
        self._persons.clear()
        self._identifier.cache_clear()
        if self._sealer is not None:
            self._sealer.forget_cached()

    # --- The envelope: parts that many events share are written once ---

    def record(self, incoming: Incoming) -> Message:  # noqa: PLR0912, PLR0915 - see below: what is usual stands in place
        """The record for simorgh.events. The caller checks the size of the event. Raises `InvalidEvent`. Every event
        passes through here. The usual case is inline, since a call takes as long as two of its lines; rare cases are
        calls.
        """
        type_, id, source, odd = incoming.type, incoming.id, incoming.source, incoming.odd
        context: Object = incoming.context or {}
        if addresses.MEMBER in context:
            context = addresses.within(context, source)
        received_at, sent_at, original = incoming.received_at, incoming.sent_at, incoming.original_time
        id_bytes = check_id(id)
        traits: Object = incoming.traits or {}
        properties: Object = incoming.properties or {}
        if len(traits) > MAX_KEYS or len(properties) > MAX_KEYS:
            raise limits.too_many_keys(traits, properties)
        if received_at != self._asked_at:
            self._follow_rules(received_at)
        flags: tuple[str, ...] = ()
        sent = properties
        planned = self._planned.get(type_)
        if planned is None:
            _check_unplanned(source)
            flags = (UNPLANNED,)
        elif not planned.is_valid(traits if type_ == IDENTIFIED else properties):
            traits, properties = self._fit(type_, traits, properties, source, odd := odd or Odd())
        if self._budgets is not None:
            self._budgets.names(source, type_ if planned is None else None, traits, properties, received_at)
        region = source.region or self._region
        values = incoming.identifiers
        who = dump(values) if region is None else dump((region, values))
        person = self._persons[who]
        if person is None:
            person = self._read_person(
                values, region, who, source, received_at, odd := odd or Odd(), incoming.of_nobody
            )
        time, corrected = correct(original, sent_at, received_at, source.trusts_clock, self._transit)
        head, hasher = self._shared(source.id, incoming.channel, received_at, sent_at)
        hasher = hasher.copy()
        hasher.update(id_bytes)
        key = hasher.hexdigest()
        own: dict[str, object] = {
            "key": key,
            "type": type_,
            "time": iso(time),
            "place": incoming.place,
            "dataschema": incoming.dataschema or (CUSTOM if planned is None else planned.dataschema),
        }
        personal: dict[str, object] = {
            "id": id,
            "traits": traits,
            "properties": properties,
            "context": context,
        }
        if corrected and original is not None:
            flags += corrected
            own["original_time"] = iso(original)
        if incoming.alias:
            own["alias"] = True
        consent = incoming.consent
        if type_ in STATING:
            consent = with_stated(consent, type_, properties)
        if consent:
            personal["consent"] = consent
        if type_ in self._facts:
            self._add_fact(own, type_, sent, source, odd := odd or Odd())
        members = self._accounts.get(type_)
        if (members is not None and not members.isdisjoint(sent)) or "groupId" in context or person.account is not None:
            self._add_account(own, type_, sent, context, person.account, region, odd := odd or Odd())
        if incoming.name is not None:
            personal["name"] = incoming.name
        if odd:
            if source.schema_faults == "reject":
                _check_objects(odd)
            flags += odd.told_in(personal)
        if flags:
            own["flags"] = flags
        if self._sealer is None:
            own.update(personal)
            return key.encode(), b"".join((head, person.members, encode(own)[1:]))
        clear = b"".join((head, person.members, encode(own)[1:-1], b","))
        return key.encode(), self._sealer.record(
            clear,
            personal,
            event=key,
            type=type_,
            key=person.key,
            source=source.id,
            received_at=received_at,
        )

    def _read_shared(self, source: str, channel: str, received_at: int, sent_at: int | None) -> tuple[bytes, Hasher]:
        """The brace and the first members of all events of a request, and the hasher of their keys."""
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

    def _fit(self, type_: str, traits: Object, properties: Object, source: Source, odd: Odd) -> tuple[Object, Object]:
        """Traits and properties converted to the schema. Raises `InvalidEvent` if they do not fit and the source
        refuses that.
        """
        member, values = ("traits", traits) if type_ == IDENTIFIED else ("properties", properties)
        fitted, faults = self._catalog.fit(type_, values)
        if faults and source.schema_faults == "reject":
            first = faults[0]
            raise InvalidEvent(
                f"{member}{first.pointer}: {first.reason}; see /v1/schemas/{type_}", code="schema_violation"
            )
        odd.add_faults(f"/{member}", values, faults)
        return (fitted, properties) if type_ == IDENTIFIED else (traits, fitted)

    def _add_fact(self, own: dict[str, object], type_: str, sent: Object, source: Source, odd: Odd) -> None:
        """The order's fact and its amount. `sent`: the properties as sent, read to the last digit."""
        if type_ in MONEY_TYPES:
            money = money_of(type_, sent, source.currency or self._currency, odd)
            if money is not None:
                own["money"] = money
        member = self._facts[type_]
        value = None if member is None else business_value(sent, member)
        if member is not None and value is not None:
            self._add_business(own, type_, member, value, source, odd)

    def _add_business(
        self, own: dict[str, object], type_: str, member: str, value: str, source: Source, odd: Odd
    ) -> None:
        """The fact that the event reports. A junk key does not count."""
        if self._rules.is_blocked(member, value):
            odd.flag(KEY_IGNORED)
            return
        book = source.book or source.id
        key = key_of(self._fact_hasher(book, type_), value.encode())
        own["business"] = {"book": book, "key": key, "rank": source.rank}

    def _add_account(
        self,
        own: dict[str, object],
        type_: str,
        sent: Object,
        context: Object,
        identifier: str | None,
        region: str | None,
        odd: Odd,
    ) -> None:
        """The account that the event belongs to, its parent, and whom the person reports to there. `identifier`: an
        account that is named among the identifiers."""
        key = naming.account_of(accounts.member_of(type_), sent, context, identifier)
        if key is None or self._rules.is_blocked(accounts.IDENTIFIER, key):
            odd.flag(ACCOUNT_IGNORED)
            return
        own["account"] = account = {"key": key}
        if type_ in accounts.DESCRIBING and "parent_id" in sent:
            parent = naming.key_in(sent, "parent_id")
            if parent is not None or sent["parent_id"] in (None, ""):
                account["parent"] = parent or ""
            else:
                odd.flag(ACCOUNT_IGNORED)
        if type_ in accounts.JOINING and "reports_to" in sent:
            try:
                account["reports_to"] = self._superior(sent["reports_to"], region)
            except InvalidIdentifier:
                odd.flag(REPORTS_TO_IGNORED)

    def _superior(self, value: object, region: str | None) -> str:
        """The node of whoever somebody reports to; "" for nobody. Raises `InvalidIdentifier`."""
        if value is None or value == "":
            return ""
        type_, text = naming.identifier_in(_text("reports_to", value))
        known = self._identifier(type_, text, region if type_ == "phone" else None)
        if known is None or known.node in self._forgotten:
            raise InvalidIdentifier("reports_to: wanted somebody, got a value that stands for nobody; leave it out")
        return to_hex(known.node)

    # --- Identifiers ---

    def _read_person(
        self,
        values: Values,
        region: str | None,
        who: bytes,
        source: Source,
        received_at: int,
        odd: Odd,
        of_nobody: bool,
    ) -> _Person:
        """`identifiers` and `subject` of the envelope as JSON, cached under `who`. Invalid identifiers are noted in
        `odd`. Raises `InvalidEvent` if an event must identify somebody and all its identifiers are invalid, or if one
        is of somebody who was forgotten.
        """
        found: dict[int, _Identifier] = {}
        hints: dict[int, _Identifier] = {}
        ignored: list[dict[str, object]] = []
        wrong: InvalidIdentifier | None = None
        blocked = False
        values, account = _without_account(values)
        for type_, value, *trust in values:
            if value is None or value == "":
                continue
            try:
                known = self._identifier(type_, _text(type_, value), region if type_ == "phone" else None)
            except InvalidIdentifier as error:
                wrong = wrong or error
                odd.flag(IGNORED)
                if error.code == NO_REGION:
                    odd.flag(NO_REGION)
                ignored.append({"type": type_, "value": value})
                continue
            if known is None:
                blocked = True
                odd.flag(BLOCKED)
                ignored.append({"type": type_, "value": value})
            else:
                (hints if trust else found).setdefault(known.node, known)
        if wrong is not None and not (found or hints or blocked or of_nobody or account):
            raise InvalidEvent(wrong.message, code=wrong.code) from wrong
        if self._forgotten and any(node in self._forgotten for node in (*found, *hints)):
            raise InvalidEvent(FORGOTTEN, code=SUPPRESSED)
        if self._budgets is not None:
            self._budgets.identifiers(source, found.keys() | hints.keys(), received_at)
        person = self._person(
            sorted(found.values(), key=_RANK),
            sorted([hint for node, hint in hints.items() if node not in found], key=_RANK),
        )
        if account is not None:
            person = person._replace(account=account)
        if ignored:
            odd.original["/identifiers"] = ignored
        elif len(who) <= LONGEST_CACHED and all(isinstance(value, str) for _, value, *_ in values):
            self._persons.put(who, person)
        return person

    def _person(self, identifiers: Sequence[_Identifier], hints: Sequence[_Identifier]) -> _Person:
        """Hints stand behind all others: the first identifier is the anchor, unless it is one of them."""
        entries = [identifier.entry for identifier in identifiers]
        entries += [{**hint.entry, "trust": HINT} for hint in hints]
        members: dict[str, object] = {"identifiers": entries}
        if self._sealer is not None:
            key = self._sealer.key_of([(one.node, one.name) for one in (*identifiers, *hints)])
            return _Person(_members(members), key)
        if identifiers:
            members["subject"] = identifiers[0].subject
        return _Person(_members(members))

    def _follow_rules(self, now: int) -> None:
        self._asked_at = now
        self._forgotten, self._returning = self._forgotten_now(), self._returning_now()
        if len(self._forgotten) != self._forgotten_count:
            self._forgotten_count = len(self._forgotten)
            self.forget_cached()
        rules = self._rules_now()
        if rules is not self._rules:
            self._rules = rules
            self.forget_cached()

    def _read_identifier(self, type_: str, value: str, region: str | None) -> _Identifier | None:
        """None if the rules block it. Raises `InvalidIdentifier`."""
        normalised = normalise(type_, value, region=region)
        if self._rules.is_blocked(type_, normalised):
            return None
        node = node_of(self._secret, self._workspace, type_, normalised)
        if self._forgotten:
            node = present_node(self._secret, node, self._forgotten, self._returning)
        entry: dict[str, object] = {"type": type_}
        if self._sealer is None:
            entry |= {"value": value, "normalised": normalised}
        entry |= {"normaliser": NORMALISER_VERSION, "node": to_hex(node)}
        name = Name(type_, value, normalised)
        return _Identifier(self._rules.rank(type_), node, f"{type_}:{normalised}", entry, name)


def _without_account(values: Values) -> tuple[Values, str | None]:
    """The identifiers of people, and the account that one of the others names."""
    named = [str(value) for type_, value, *_ in values if type_ == accounts.IDENTIFIER and isinstance(value, str | int)]
    if not named:
        return values, None
    return [one for one in values if one[0] != accounts.IDENTIFIER], named[0]


def _members(values: Object) -> bytes:
    """As JSON without the braces, a comma at the end."""
    return encode(values)[1:-1] + b","


def dump(value: object) -> bytes:
    """Parsed JSON as bytes again, including anything that the parser accepts (deep nesting, lone surrogates, NaN)."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return dump_as_sent(value)


def dump_as_sent(value: object) -> bytes:
    """The same for values outside JSON: NaN stays NaN, half a character becomes an escape."""
    try:
        return json.dumps(value).encode()
    except RecursionError:
        return b"{}"  # deeper than any parser of ours reads: cannot come from a request


def _as_text(payload: bytes) -> tuple[str | None, str | None]:
    """The payload, or else its Base64."""
    try:
        return payload.decode(), None
    except UnicodeDecodeError:
        return None, base64.b64encode(payload).decode()


def _scalars(value: object) -> Iterator[object]:
    """The texts and numbers in parsed JSON, but for those that are too long for an identifier."""
    level = [value]
    while level:
        deeper: list[object] = []
        for one in level:
            if isinstance(one, Mapping):
                deeper += one.values()
            elif isinstance(one, list):
                deeper += one
            elif isinstance(one, (str, int)) and len(str(one)) <= LONGEST_CACHED:
                yield one
        level = deeper


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


def _check_objects(odd: Odd) -> None:
    """For sources that refuse values that do not fit: a connector leaves out anything that is not an object."""
    for pointer in _OBJECTS:
        if pointer in odd.original and f"{LEFT_OUT}:{pointer}" in odd.flags:
            raise InvalidEvent(
                f"{pointer[1:]}: wanted an object, got something else; send an object, or nothing",
                code="schema_violation",
            )


def _text(type_: str, value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or "\x00" in value:
        raise InvalidIdentifier(
            f"{type_}: wanted a text without NUL, got something else; send the identifier as a text"
        )
    return value
