"""The identifiers of an event: normalised, hashed to nodes, and written as members of its envelope.

Invalid and blocked identifiers are noted and skipped. Nothing that an event says is kept if it names somebody who was
forgotten. The same people return again and again, so what was read is cached.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import islice, product
from operator import attrgetter
from typing import Final, NamedTuple

import orjson

from identity.nodes import node_of, present_node, to_hex
from identity.normalise import NO_REGION, NORMALISER_VERSION, normalise
from identity.rules import IdentityRules
from privacy.keyring import DataKey, Name
from producers.budgets import Budgets
from producers.incoming import Object, Values
from producers.limits import encode_members
from producers.odd import Odd
from producers.sealer import Sealer
from registry.models import Source
from schemas import accounts
from schemas.errors import InvalidEvent, InvalidIdentifier
from schemas.recent import Recent

IGNORED: Final = "identifier_ignored"
BLOCKED: Final = "identifier_blocked"
HINT: Final = "hint"
SUPPRESSED: Final = "suppressed"
"""Of an event that names somebody who was forgotten: it is counted and not kept."""
FORGOTTEN: Final = "identifiers: wanted people who were not forgotten, got one who was; send no more of them"

CACHED_PERSONS: Final = 65_536
CACHED_IDENTIFIERS: Final = 16_384
"""A phone number costs libphonenumber 100 µs. Some 60 MB when full."""

LONGEST_CACHED: Final = 400
"""The largest size in bytes of a cached person's identifiers: the cache must stay small, whatever is sent."""

_MOST_TEXTS: Final = 200
"""That are looked at in what cannot be read as an event."""


class _Identifier(NamedTuple):
    """`rank`: the lowest comes first. `subject`: the envelope's, if this is the anchor."""

    rank: int
    node: int
    subject: str
    entry: dict[str, object]
    name: Name


_RANK: Final = attrgetter("rank")


class _Person(NamedTuple):
    """The identifiers of an event as members of the envelope, the key under which the rest of it is sealed, and the
    account that one of them names."""

    members: bytes
    key: DataKey | None = None
    account: str | None = None


class IdentifierReader:
    """`secret` keys the hashes. `follow` asks for `rules`, `forgotten` and `returning`. `region`: of phone numbers
    without a country, if the source has none. May be used from any thread."""

    def __init__(
        self,
        secret: bytes,
        workspace: str,
        rules: Callable[[], IdentityRules],
        region: str | None,
        *,
        budgets: Budgets | None = None,
        sealer: Sealer | None = None,
        forgotten: Callable[[], Collection[int]] = tuple,
        returning: Callable[[], Collection[int]] = tuple,
    ) -> None:
        """`forgotten`: the nodes of people who were, which only become more; `returning`: those of them who may come
        back as somebody new, another set when these become less."""
        self.rules = rules()
        self.cached: Recent[bytes, _Person] = Recent(CACHED_PERSONS)
        """By what was sent: `read` fills it, and its caller looks here first."""
        self._secret = secret
        self._workspace = workspace
        self._rules_now = rules
        self._region = region
        self._budgets = budgets
        self._sealer = sealer
        self._forgotten_now = forgotten
        self._returning_now = returning
        self._forgotten: Collection[int] = ()
        self._returning: Collection[int] = ()
        self._counts = (0, 0)
        self._identifier = lru_cache(CACHED_IDENTIFIERS)(self._read_identifier)

    def follow(self) -> None:
        """Take the rules, and who was forgotten, as they are now."""
        self._forgotten, returning = self._forgotten_now(), self._returning_now()
        counts = (len(self._forgotten), len(returning))
        if counts != self._counts or returning is not self._returning:
            self._counts, self._returning = counts, returning
            self.forget_cached()
        rules = self._rules_now()
        if rules is not self.rules:
            self.rules = rules
            self.forget_cached()

    def read(
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
            self.cached.put(who, person)
        return person

    def node(self, source: Source, type_: str, value: object) -> int | None:
        """The node of an identifier as this source sends it; None for one that is invalid or blocked."""
        region = (source.region or self._region) if type_ == "phone" else None
        try:
            known = self._identifier(type_, _text(type_, value), region)
        except InvalidIdentifier:
            return None
        return None if known is None else known.node

    def somebody(self, source: Source, type_: str, value: object) -> int:
        """The node of an identifier of whom an event speaks. Raises `InvalidIdentifier` where it is invalid or blocked,
        or of somebody who was forgotten."""
        region = (source.region or self._region) if type_ == "phone" else None
        known = self._identifier(type_, _text(type_, value), region)
        if known is None or known.node in self._forgotten:
            raise InvalidIdentifier(f"{type_}: wanted somebody, got a value that stands for nobody; leave it out")
        return known.node

    def names_forgotten(self, raw: bytes | Object) -> bool:
        """Whether a text in what cannot be read as an event is an identifier of somebody who was forgotten."""
        if not self._forgotten:
            return False
        try:
            texts = list(islice(_scalars(orjson.loads(raw) if isinstance(raw, bytes) else raw), _MOST_TEXTS))
        except orjson.JSONDecodeError:
            return False
        for type_, text in product(self.rules.priorities, texts):
            with suppress(InvalidIdentifier):
                known = self._identifier(type_, _text(type_, text), self._region if type_ == "phone" else None)
                if known is not None and known.node in self._forgotten:
                    return True
        return False

    def forget_cached(self) -> None:
        self.cached.clear()
        self._identifier.cache_clear()
        if self._sealer is not None:
            self._sealer.forget_cached()

    def _person(self, identifiers: Sequence[_Identifier], hints: Sequence[_Identifier]) -> _Person:
        """Hints stand behind all others: the first identifier is the anchor, unless it is one of them."""
        entries = [identifier.entry for identifier in identifiers]
        entries += [{**hint.entry, "trust": HINT} for hint in hints]
        members: dict[str, object] = {"identifiers": entries}
        if self._sealer is not None:
            key = self._sealer.key_of([(one.node, one.name) for one in (*identifiers, *hints)])
            return _Person(encode_members(members), key)
        if identifiers:
            members["subject"] = identifiers[0].subject
        return _Person(encode_members(members))

    def _read_identifier(self, type_: str, value: str, region: str | None) -> _Identifier | None:
        """None if the rules block it. Raises `InvalidIdentifier`."""
        normalised = normalise(type_, value, region=region)
        if self.rules.is_blocked(type_, normalised):
            return None
        node = node_of(self._secret, self._workspace, type_, normalised)
        if self._forgotten:
            node = present_node(self._secret, node, self._forgotten, self._returning)
        entry: dict[str, object] = {"type": type_}
        if self._sealer is None:
            entry |= {"value": value, "normalised": normalised}
        entry |= {"normaliser": NORMALISER_VERSION, "node": to_hex(node)}
        name = Name(type_, value, normalised)
        return _Identifier(self.rules.rank(type_), node, f"{type_}:{normalised}", entry, name)


def _without_account(values: Values) -> tuple[Values, str | None]:
    """The identifiers of people, and the account that one of the others names."""
    named = [str(value) for type_, value, *_ in values if type_ == accounts.IDENTIFIER and isinstance(value, str | int)]
    if not named:
        return values, None
    return [one for one in values if one[0] != accounts.IDENTIFIER], named[0]


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


def _text(type_: str, value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or "\x00" in value:
        raise InvalidIdentifier(
            f"{type_}: wanted a text without NUL, got something else; send the identifier as a text"
        )
    return value
