"""The people of the simulation: real customers of the till's file, with an invented life on the web.

The names, addresses and numbers are made up: @example.com belongs to nobody (RFC 2606), and the telephone
numbers are those that Ofcom keeps free for films (07700 900000 to 900999).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

from producers.files.events import Event
from producers.files.sinks import SendOutcome, Sink
from schemas.moments import read_moment

PRODUCTS_KEPT = 5
"""Products remembered of each purchase: enough to look at before buying."""

_FIRST = (
    ("Emma", "emma"), ("Olivia", "olivia"), ("Jack", "jack"), ("Harry", "harry"), ("Grace", "grace"),
    ("Thomas", "thomas"), ("Ruby", "ruby"), ("Oscar", "oscar"), ("Alice", "alice"), ("George", "george"),
    ("سارا", "sara"), ("مریم", "maryam"), ("رضا", "reza"), ("نیلوفر", "niloufar"), ("امیر", "amir"),
    ("شیرین", "shirin"), ("آرش", "arash"), ("لیلا", "leila"), ("کاوه", "kaveh"), ("پریسا", "parisa"),
)  # fmt: skip
_LAST_ENGLISH = (
    ("Smith", "smith"), ("Jones", "jones"), ("Taylor", "taylor"), ("Brown", "brown"), ("Walker", "walker"),
    ("Hughes", "hughes"), ("Green", "green"), ("Hall", "hall"), ("Wood", "wood"), ("Clarke", "clarke"),
)  # fmt: skip
_LAST_PERSIAN = (
    ("محمدی", "mohammadi"), ("احمدی", "ahmadi"), ("کریمی", "karimi"), ("رضایی", "rezaei"),
    ("حسینی", "hosseini"), ("عطار", "attar"), ("نیشابوری", "neyshaburi"), ("صادقی", "sadeghi"),
    ("جعفری", "jafari"), ("موسوی", "mousavi"),
)  # fmt: skip


class Purchase(NamedTuple):
    """A real one. `time` in ms; `products` are a few of its lines: sku, name, price."""

    time: int
    products: tuple[dict[str, Any], ...]


History = dict[str, list[Purchase]]
"""Loyalty card -> purchases."""


class HistoryKeeper:
    """A sink that passes events to another one and remembers who bought what."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.history: History = {}

    def send(self, events: Sequence[Event]) -> list[SendOutcome]:
        remember(events, self.history)
        return self._sink.send(events)


def remember(events: Iterable[Event], history: History) -> None:
    """Add the purchases among `events`, made by the file connector, to `history`."""
    for event in events:
        cards = [one["value"] for one in event["data"]["identifiers"]]
        if event["type"] != "order.completed" or not cards:
            continue
        products = event["data"]["properties"]["products"]
        kept = tuple(
            {"sku": one["sku"], "name": one.get("name", ""), "price": one["price"]} for one in products[:PRODUCTS_KEPT]
        )
        history.setdefault(cards[0], []).append(Purchase(read_moment(event["time"]) or 0, kept))


@dataclass
class Person:
    """A customer with an account on the web. `devices` are anonymous ids, one per browser."""

    card: str
    user_id: str
    name: str
    first_name: str
    email: str
    phone: str
    """"" for those who never gave one."""
    devices: list[str]
    purchases: list[Purchase]
    keenness: float
    """0 to 1: how likely an email is opened."""
    wants_email: bool
    random: Random
    said: int = 0
    seen_devices: set[str] = field(default_factory=set)
    channels: set[str] = field(default_factory=set)
    """On which the person was heard besides the till, the web and the mail: chat, ticket, call, survey."""

    def next_id(self) -> str:
        self.said += 1
        return f"sim-{self.card}-{self.said}"


def make_people(history: History, count: int, seed: int) -> list[Person]:
    """`count` of the customers (or all, if there are fewer), sorted by card."""
    chosen = sorted(Random(f"{seed}/who").sample(sorted(history), min(count, len(history))))
    return [_make(card, place, history[card], seed) for place, card in enumerate(chosen)]


def _make(card: str, place: int, purchases: list[Purchase], seed: int) -> Person:
    random = Random(f"{seed}/{card}")
    first, first_latin = random.choice(_FIRST)
    persian = not first.isascii()
    last, last_latin = random.choice(_LAST_PERSIAN if persian else _LAST_ENGLISH)
    # every fourth has a telephone number; there are a thousand that are nobody's
    phone = f"+447700900{place // 4:03d}" if place % 4 == 0 and place < 4_000 else ""
    return Person(
        card=card,
        user_id=f"web-{card}",
        name=f"{first} {last}",
        first_name=first,
        email=f"{first_latin}.{last_latin}.{card}@example.com",
        phone=phone,
        devices=[new_device(random) for _ in range(random.choice((1, 1, 2, 2, 3)))],
        purchases=purchases,
        keenness=random.random() ** 2,
        wants_email=random.random() < 0.8,
        random=random,
    )


def new_device(random: Random) -> str:
    """A browser's anonymous id."""
    return str(UUID(int=random.getrandbits(128), version=4))
