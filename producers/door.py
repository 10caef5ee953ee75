"""The door: the one place where an envelope is made. Made once, never recomputed.

Every connector (SDKs, CloudEvents, vendors' webhooks, files) passes its events here as `Incoming`. The door checks
them, corrects the clock, normalises and hashes identifiers, reads the money, and returns the record to append: one for
`simorgh.events`, or one for `simorgh.rejected` that holds the original bytes and the reason. It raises for nothing that
a sender sends, and may be called from any thread. Its only I/O: with a sealer, it looks up the keys of people whom
it has not seen lately.
"""

import base64
import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple

from eventlog.port import Message
from identity.nodes import Hasher, event_hasher, fact_hasher, key_of, to_hex
from identity.rules import IdentityRules
from producers import addresses, agents, limits, naming, places
from producers.budgets import Budgets
from producers.consent import STATING, with_stated
from producers.facts import business_value, in_camel_case
from producers.identifiers import FORGOTTEN, SUPPRESSED, IdentifierReader
from producers.incoming import Incoming, Object, as_hints
from producers.limits import MAX_KEYS, check_id, encode, encode_members
from producers.money import FIELDS as MONEY_TYPES
from producers.money import money_of
from producers.odd import LEFT_OUT, Odd
from producers.parsing import dump
from producers.places import Places
from producers.sealer import Sealer
from producers.times import TRANSIT, correct
from registry.models import Source
from schemas import accounts, orders, records
from schemas.catalog import Catalog
from schemas.clock import IdMaker, iso
from schemas.errors import InvalidEvent, InvalidIdentifier
from schemas.records import Rejection

IDENTIFIED: Final = "profile.identified"
CUSTOM: Final = "custom"

KEY_IGNORED: Final = "business_key_ignored"
ACCOUNT_IGNORED: Final = "account_ignored"
REPORTS_TO_IGNORED: Final = "reports_to_ignored"
UNPLANNED: Final = "unplanned"
BOT: Final = "bot"

_OBJECTS: Final = ("/properties", "/traits", "/context", "/properties/traits")

CACHED_REQUESTS: Final = 64
CACHED_BOOKS: Final = 1024
"""Of each type."""


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
        places: Places | None = None,
    ) -> None:
        """Without a `sealer`, everything stands in the clear. `forgotten`: the nodes of people who were, which only
        become more; `returning`: those of them who may come back as somebody new, another set when these become
        less. `places`: where addresses are."""
        self._places = places
        self._sealer = sealer
        self._secret = secret
        self._workspace = workspace
        self._asked_at: int | None = None
        self._catalog = catalog
        self._new_id = new_id
        self._transit, self._region, self._currency = defaults
        self._budgets = budgets
        self._planned = {
            event.type: _Planned(event.dataschema, catalog.quick_check(event.type)) for event in catalog.all()
        }
        self._facts: dict[str, str | None] = dict.fromkeys([*MONEY_TYPES, *orders.NAMING])
        self._facts |= {event.type: event.business_key for event in catalog.all() if event.business_key}
        self._accounts = {
            event.type: frozenset({member, in_camel_case(member)})
            for event in catalog.all()
            if (member := accounts.member_of(event.type))
        }
        self.identifiers = IdentifierReader(
            secret,
            workspace,
            rules,
            self._region,
            budgets=budgets,
            sealer=sealer,
            forgotten=forgotten,
            returning=returning,
        )
        self._persons = self.identifiers.cached
        self._fact_hasher = lru_cache(CACHED_BOOKS)(partial(fact_hasher, secret, workspace))
        self._shared = lru_cache(CACHED_REQUESTS)(self._read_shared)

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
            self._follow(received_at)
        if error.code == SUPPRESSED or self.identifiers.names_forgotten(raw):
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

    def _follow(self, now: int) -> None:
        """The rules of this moment, and who was forgotten."""
        self._asked_at = now
        self.identifiers.follow()

    # --- The envelope: parts that many events share are written once ---

    def record(self, incoming: Incoming) -> Message:  # noqa: PLR0912, PLR0915 - see below: what is usual stands in place
        """The record for simorgh.events. The caller checks the size of the event. Raises `InvalidEvent`. Every event
        passes through here. The usual case is inline, since a call takes as long as two of its lines; rare cases are
        calls.
        """
        type_, id, source, odd = incoming.type, incoming.id, incoming.source, incoming.odd
        context: Object = incoming.context or {}
        values, is_bot = incoming.identifiers, False
        if agents.MEMBER in context:
            members, is_bot = agents.reading(context[agents.MEMBER])
            context = {**members, **context}  # what the sender says itself counts
            if is_bot and source.bots == "nobody":
                values = as_hints(values)
        if self._places is not None and places.MEMBER not in context:
            place = self._places.of(context.get(addresses.MEMBER) or incoming.sender)
            context = {**context, places.MEMBER: place} if place else context
        if addresses.MEMBER in context:
            context = addresses.within(context, source)
        received_at, sent_at, original = incoming.received_at, incoming.sent_at, incoming.original_time
        id_bytes = check_id(id)
        traits: Object = incoming.traits or {}
        properties: Object = incoming.properties or {}
        if len(traits) > MAX_KEYS or len(properties) > MAX_KEYS:
            raise limits.too_many_keys(traits, properties)
        if received_at != self._asked_at:
            self._follow(received_at)
        flags: tuple[str, ...] = (BOT,) if is_bot else ()
        sent = properties
        planned = self._planned.get(type_)
        if planned is None:
            _check_unplanned(source)
            flags += (UNPLANNED,)
        elif not planned.is_valid(traits if type_ == IDENTIFIED else properties):
            traits, properties = self._fit(type_, traits, properties, source, odd := odd or Odd())
        if self._budgets is not None:
            self._budgets.names(source, type_ if planned is None else None, traits, properties, received_at)
        region = source.region or self._region
        who = dump(values) if region is None else dump((region, values))
        person = self._persons[who]
        if person is None:
            person = self.identifiers.read(
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
        named_in = self._accounts.get(type_)
        if (
            (named_in is not None and not named_in.isdisjoint(sent))
            or "groupId" in context
            or person.account is not None
        ):
            for flag in self._add_account(own, type_, sent, context, person.account, source):
                (odd := odd or Odd()).flag(flag)
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
        return b"{" + encode_members(members), event_hasher(self._secret, self._workspace, source)

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
        if type_ in orders.NAMING:
            self._add_document(own, sent, source)
        member = self._facts[type_]
        value = None if member is None else business_value(sent, member)
        if member is not None and value is not None:
            self._add_business(own, type_, member, value, source, odd)

    def _add_business(
        self, own: dict[str, object], type_: str, member: str, value: str, source: Source, odd: Odd
    ) -> None:
        """The fact that the event reports. A junk key does not count."""
        if self.identifiers.rules.is_blocked(member, value):
            odd.flag(KEY_IGNORED)
            return
        book = source.book or source.id
        key = key_of(self._fact_hasher(book, type_), value.encode())
        own["business"] = {"book": book, "key": key, "rank": source.rank}

    def _add_document(self, own: dict[str, object], sent: Object, source: Source) -> None:
        """The order that the event changes or continues."""
        value = business_value(sent, orders.NUMBER)
        if value is not None and not self.identifiers.rules.is_blocked(orders.NUMBER, value):
            hasher = self._fact_hasher(source.book or source.id, orders.PLACED)
            own["document"] = key_of(hasher, value.encode())

    def _add_account(
        self, own: dict[str, object], type_: str, sent: Object, context: Object, identifier: str | None, source: Source
    ) -> tuple[str, ...]:
        """The account that the event belongs to, its parent, and whom the person reports to there. Returns flags.
        `identifier`: an account that is named among the identifiers."""
        key = naming.account_of(accounts.member_of(type_), sent, context, identifier)
        if key is None or self.identifiers.rules.is_blocked(accounts.IDENTIFIER, key):
            given = [sent.get(name) for name in self._accounts.get(type_, ())]
            is_empty = all(value is None or value == "" for value in (*given, context.get("groupId"), identifier))
            return () if is_empty else (ACCOUNT_IGNORED,)
        own["account"] = account = {"key": key}
        flags: tuple[str, ...] = ()
        if type_ in accounts.DESCRIBING and "parent_id" in sent:
            parent = naming.key_in(sent, "parent_id")
            if parent is not None and not self.identifiers.rules.is_blocked(accounts.IDENTIFIER, parent):
                account["parent"] = parent
            elif sent["parent_id"] in (None, ""):
                account["parent"] = ""
            else:
                flags += (ACCOUNT_IGNORED,)
        if type_ in accounts.JOINING and "reports_to" in sent:
            named = naming.identifier_in(sent["reports_to"])
            try:
                account["reports_to"] = to_hex(self.identifiers.somebody(source, *named)) if named else ""
            except InvalidIdentifier:
                flags += (REPORTS_TO_IGNORED,)
        return flags


def _as_text(payload: bytes) -> tuple[str | None, str | None]:
    """The payload, or else its Base64."""
    try:
        return payload.decode(), None
    except UnicodeDecodeError:
        return None, base64.b64encode(payload).decode()


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
