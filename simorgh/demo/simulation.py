"""SIMULATED: what the till's real customers might have done, and what goes wrong with it.

Nothing here is a measurement. It follows the real purchases (people look at what they buy later), it is the same for
the same seed and the same `now`, and it contains typical problems of identity, each in a known number:

- people come anonymously on one to three devices and log in only later;
- `VISITORS` never log in;
- one heavy user has `HEAVY_DEVICES` devices, more than one person may have by the default rules;
- `FAMILIES` pairs share one email address;
- `KIOSK_USERS` log in at the same tablet in the shop;
- `JUNK` visitors come from a page that sends "anonymous", "0000" or "null" as the user's id;
- `BROKEN` events cannot be accepted.

What happens on the web is here, in Segment's protocol as its SDKs send it; the other channels are in `channels`, as
their vendors' webhooks send them.
"""

from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any, Final

import orjson

from schemas.clock import iso
from simorgh.demo.channels import BATCH, SITE, DemoRequest, Notice, notices, requests
from simorgh.demo.people import History, Person, Purchase, make_people, new_device

SEED: Final = 30
PEOPLE: Final = 1_300
VISITORS: Final = 250
JUNK: Final = 15
HEAVY_DEVICES: Final = 8
FAMILIES: Final = 5
KIOSK_USERS: Final = 40
BROKEN: Final = 12

KIOSK: Final = "tablet-shop-1"
JUNK_IDS: Final = ("anonymous", "0000", "null")

_HOUR: Final = 3_600_000
_DAY: Final = 24 * _HOUR
_SEARCHES: Final = ("heart", "lantern", "mug", "bunting", "christmas", "bag", "clock", "cake stand")

Message = dict[str, Any]


def make_crowd(history: History, people: int = PEOPLE, *, seed: int = SEED) -> list[Person]:
    """`people` of the customers, with their troubles. Good for one simulation: it uses up their chances."""
    crowd = make_people(history, people, seed)
    for one, other in families(crowd):
        one.email = other.email = f"family.{one.card}@example.com"
    if crowd:
        heavy = heavy_user(crowd)
        heavy.devices = [new_device(heavy.random) for _ in range(HEAVY_DEVICES)]
    return crowd


def families(crowd: list[Person]) -> list[tuple[Person, Person]]:
    """The pairs that share an email address."""
    return list(zip(crowd[0::2], crowd[1::2], strict=False))[:FAMILIES]


def heavy_user(crowd: list[Person]) -> Person:
    """The customer who bought most often."""
    return max(crowd, key=lambda person: (len(person.purchases), person.card))


def kiosk_users(crowd: list[Person]) -> list[Person]:
    """The customers who log in at the shop's tablet."""
    return crowd[:: max(1, len(crowd) // KIOSK_USERS)][:KIOSK_USERS]


def simulate(crowd: list[Person], now: int, *, seed: int = SEED) -> Iterator[DemoRequest]:
    """The requests to post; about 47 events per person. Those of each channel are in order of time, and the channels
    go side by side.

    Nothing lies after `now` (ms).
    """
    random = Random(f"{seed}/all")
    popular = [purchase for person in crowd[:200] for purchase in person.purchases[:1]]
    web: list[Message] = []
    said: list[Notice] = []
    for person in crowd:
        web += _visits(person, now)
        said += notices(person, now)
    for number in range(VISITORS if popular else 0):
        web += _stranger(number, random, popular, now)
    for person in kiosk_users(crowd):
        web += _kiosk(person, now)
    web += _broken(now)
    web.sort(key=lambda message: (str(message["timestamp"]), str(message["messageId"])))
    yield from _side_by_side([*_batches(web), *requests(said)])


def _batches(web: list[Message]) -> Iterator[DemoRequest]:
    """Without sentAt: these clocks are right, so past times stay."""
    for start in range(0, len(web), BATCH):
        batch = web[start : start + BATCH]
        yield DemoRequest("", orjson.dumps({"batch": batch}), len(batch))


def _side_by_side(todo: list[DemoRequest]) -> list[DemoRequest]:
    totals, before = Counter(one.vendor for one in todo), Counter[str]()
    places: list[float] = []
    for one in todo:
        places.append(before[one.vendor] / totals[one.vendor])
        before[one.vendor] += 1
    return [todo[number] for _, number in sorted(zip(places, range(len(todo)), strict=True))]


# --- The troubles ---


def _stranger(number: int, random: Random, popular: list[Purchase], now: int) -> list[Message]:
    """Somebody who looks around and never says who it is; the first few come with a junk user id."""
    device = new_device(random)
    time = now - random.randint(_HOUR, 90 * _DAY)
    junk = {"userId": JUNK_IDS[number % len(JUNK_IDS)]} if number < JUNK else {}
    messages = [_page(f"sim-visitor-{number}-0", time, {"anonymousId": device, **junk}, "Home", "/")]
    for step in range(1, random.randint(2, 5)):
        product = random.choice(random.choice(popular).products)
        who = {"anonymousId": device, **junk}
        messages.append(_track(f"sim-visitor-{number}-{step}", time + step * 40_000, who, "Product Viewed", product))
    return messages


def _kiosk(person: Person, now: int) -> list[Message]:
    """A login at the tablet in the shop: one device, many people."""
    time = now - person.random.randint(_DAY, 60 * _DAY)
    context = {"device": {"id": KIOSK, "type": "tablet", "name": "Shop tablet"}}
    login = _identify(person, time, {"userId": person.user_id})
    login["context"] = {**login["context"], **context}
    looked = _track(
        person.next_id(),
        time + 30_000,
        {"userId": person.user_id},
        "Product Viewed",
        person.purchases[-1].products[0],
    )
    return [login, {**looked, "context": context}]


def _broken(now: int) -> list[Message]:
    """Events as faulty pages send them: a price in words, a time in words, and no identifier."""
    faults: tuple[Message, ...] = (
        {
            "type": "track",
            "event": "Product Viewed",
            "anonymousId": "broken-page",
            "properties": {"price": "cheap"},
        },
        {"type": "track", "event": "Cart Viewed", "anonymousId": "broken-page", "timestamp": "yesterday"},
        {"type": "track", "event": "Cart Viewed"},
    )
    return [
        {"messageId": f"sim-broken-{number}", "timestamp": iso(now - _HOUR), **faults[number % len(faults)]}
        for number in range(BROKEN)
    ]


# --- The web ---


def _visits(person: Person, now: int) -> list[Message]:
    """Visits before real purchases, and others of pure curiosity, more of them lately."""
    random = person.random
    before = random.sample(person.purchases, min(len(person.purchases), 3))
    times = [purchase.time - random.randint(_HOUR, 2 * _DAY) for purchase in before]
    times += [now - int(random.random() ** 2 * 300 * _DAY) - _HOUR for _ in range(random.randint(1, 4))]
    times += [now - random.randint(_HOUR, 300 * _DAY) for _ in person.devices[len(times) :]]
    messages: list[Message] = []
    for visit, time in enumerate(sorted(times)):
        # each device is used at least once: the first visits go round them
        device = person.devices[visit] if visit < len(person.devices) else random.choice(person.devices)
        messages += _visit(person, device, min(time, now - _HOUR))
    return messages


def _visit(person: Person, device: str, time: int) -> list[Message]:
    """Look around, perhaps fill a cart; the first visit on a device ends with a login, later ones may."""
    random = person.random
    who: Message = {"anonymousId": device}
    if device in person.seen_devices and random.random() < 0.4:
        who["userId"] = person.user_id  # still logged in from the last time
    products = [random.choice(random.choice(person.purchases).products) for _ in range(random.randint(2, 6))]
    messages = [_page(person.next_id(), time, who, "Home", "/")]
    if random.random() < 0.3:
        query = {"query": random.choice(_SEARCHES)}
        messages.append(_track(person.next_id(), time + 15_000, who, "Products Searched", query))
    for step, product in enumerate(products, start=1):
        messages.append(_track(person.next_id(), time + step * 30_000, who, "Product Viewed", product))
    time += (len(products) + 1) * 30_000
    if device not in person.seen_devices or random.random() < 0.25:
        who = {"anonymousId": device, "userId": person.user_id}
        messages.append(_identify(person, time, who))
        person.seen_devices.add(device)
    if random.random() < 0.4:
        messages += _cart(person, who, products[0], time + 20_000)
    return messages


def _cart(person: Person, who: Message, product: Message, time: int) -> list[Message]:
    """Into the cart and perhaps to the checkout. It is paid at the till: orders are the real ones only."""
    steps = ["Product Added", "Cart Viewed"] + (["Checkout Started"] if person.random.random() < 0.5 else [])
    return [
        _track(person.next_id(), time + number * 20_000, who, step, product if step == "Product Added" else {})
        for number, step in enumerate(steps)
    ]


def _identify(person: Person, time: int, who: Message) -> Message:
    traits = {"name": person.name, "firstName": person.first_name, "email": person.email}
    if person.phone:
        traits["phone"] = person.phone
    card = {"id": person.card, "type": "loyalty_card", "collection": "users", "encoding": "none"}
    consent = {"categoryPreferences": {"marketing": person.wants_email}}
    return {
        "type": "identify",
        "messageId": person.next_id(),
        "timestamp": iso(time),
        **who,
        "traits": traits,
        "context": {"externalIds": [card], "consent": consent},
    }


def _page(message_id: str, time: int, who: Message, name: str, path: str) -> Message:
    properties = {"url": SITE + path, "path": path, "title": name}
    return {
        "type": "page",
        "messageId": message_id,
        "timestamp": iso(time),
        **who,
        "name": name,
        "properties": properties,
    }


def _track(message_id: str, time: int, who: Message, event: str, properties: Message) -> Message:
    if "sku" in properties:
        properties = {"product_id": properties["sku"], **properties, "currency": "GBP"}
    return {
        "type": "track",
        "messageId": message_id,
        "timestamp": iso(time),
        **who,
        "event": event,
        "properties": properties,
    }
