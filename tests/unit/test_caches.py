"""Every cache of the house: it stands in one of these lists, has a bound, and once emptied gives the same answers."""

import gc
import pkgutil
import re
from decimal import Decimal
from functools import _lru_cache_wrapper
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from identity import nodes, rules
from identity.rules import DEFAULT_RULES
from producers.files import events, numbers
from producers.segment import type_of_track
from schemas import clock
from schemas.catalog import Catalog
from schemas.recent import Recent
from tests.clients.world import NOW, make_door, make_source
from tests.unit.door_events import incoming

ROOT: Final = Path(__file__).parents[2]
ROOMS: Final = (
    "schemas", "eventlog", "registry", "identity", "segments", "privacy", "producers", "warehouse", "destinations",
    "stream_processors", "profile_api", "simorgh",
)  # fmt: skip

KNOWN: Final = {
    "schemas/clock.py",  # here
    "schemas/catalog.py",  # the catalogue of the installation: one object, as large as its files
    "identity/nodes.py",  # here
    "identity/rules.py",  # here; `matchers` belong to one set of rules and go with it
    "producers/agents.py",  # a pure function of a user agent; test_agents
    "producers/addresses.py",  # a pure function of an address
    "producers/door.py",  # of a request and a book, which go with the door
    "producers/identifiers.py",  # here
    "registry/models.py",  # some values of a source, which go with it
    "producers/segment.py",  # here
    "schemas/recent.py",  # here
    "privacy/keyring.py",  # test_keyring
    "privacy/dictionary.py",  # one dictionary and its context for each version
    "profile_api/masking.py",  # the members of a model of the code
    "privacy/secret_box.py",  # secrets of sources, opened; bounded
    "producers/fetching.py",  # vendors' keys, for a while; bounded
    "producers/vendors/generic.py",  # pure functions of a declared mapping
    "producers/vendors/mapping.py",  # functions made of a map, one for each of its kinds; they go with it
    "producers/vendors/readers.py",  # pure functions
    "producers/vendors/paths.py",  # pure functions
    "producers/vendors/signing.py",  # pure functions
    "producers/files/cells.py",  # of one file, while it is read; test_import_retail
    "producers/files/orders.py",  # of one file, while it is read
    "producers/files/events.py",  # here
    "producers/watched/folder.py",  # the last 10,000 files of a folder, which a file of its own remembers; test_watched
    "producers/files/numbers.py",  # names and signs of currencies; here
    "segments/lifecycle.py",  # pure functions of gaps and days
    "stream_processors/state/profile.py",  # test_pipeline_caches, test_cluster_stages, and every law with `cached=1`
}
"""Files that hold a cache by name. Others are plain values: `GraphDirectory` and `Copies` (test_pipeline_caches),
`Tails` and `Commits` (test_eventlog_latest),
`Counts` (test_api_operations), the registry's snapshot (test_registry_registry, test_pipeline_caches), `RecentViews`
(test_recent_views; test_pipeline_segments)."""

UNBOUNDED: Final = {"Catalog.load", "_dictionary"}


def test_every_cache_is_known() -> None:
    words = re.compile(r"\blru_cache\b|@cache\b|\bcached_property\b|\bOrderedDict\b|\bRecent\(")
    found = {
        str(path.relative_to(ROOT)) for room in ROOMS for path in (ROOT / room).rglob("*.py") if _uses(path, words)
    }
    assert found | {"schemas/recent.py"} == KNOWN


def _uses(path: Path, words: re.Pattern[str]) -> bool:
    return any(words.search(line) for line in path.read_text().splitlines() if "`" not in line)


def test_every_cache_of_a_function_has_a_bound() -> None:
    for room in ROOMS:
        for module in pkgutil.walk_packages([str(ROOT / room)], f"{room}."):
            if not module.name.endswith("__main__"):
                import_module(module.name)
    make_door()
    caches = [one for one in gc.get_objects() if isinstance(one, _lru_cache_wrapper)]
    ours = [one for one in caches if one.__module__.split(".")[0] in ROOMS]
    assert len(ours) >= 6
    assert {one.__qualname__ for one in ours if one.cache_info().maxsize is None} == UNBOUNDED


def test_functions_answer_the_same_from_empty_caches() -> None:
    def answers() -> list[Any]:
        return [
            [clock.iso(ms) for ms in (0, NOW, NOW + 3_600_000)],
            [DEFAULT_RULES.rank(type) for type in ("user_id", "email", "a_type_of_theirs")],
            [DEFAULT_RULES.is_blocked("user_id", value) for value in ("null", "u42")],
            [type_of_track(Catalog.load(), name) for name in ("Order Completed", "order  completed", "Foo Bar")],
            [events.as_number(Decimal(text)) for text in ("1", "1.0", "0.1")],
            [numbers.read_number(text).sign for text in ("5 €", "5 تومان", "$5")],
            [nodes.from_hex(f"{number:032x}") for number in (1, 255, 1 << 127)],
        ]

    before = answers()
    for cache in (
        clock._hour,
        rules._rank,
        rules._compile,
        type_of_track,
        events.as_number,
        numbers._currency,
        nodes.from_hex,
    ):
        cache.cache_clear()
    DEFAULT_RULES.__dict__.pop("matchers", None)
    assert answers() == before


def test_the_door_answers_the_same_from_empty_caches() -> None:
    door = make_door()
    sent = [
        incoming(id=f"m-{n}", identifiers=[("user_id", f"u{n % 3}"), ("email", f"Person{n % 3}@Example.com")])
        for n in range(9)
    ]
    filled = [door.admit(one, b"{}") for one in sent]
    emptied = []
    for one in sent:
        door.identifiers.forget_cached()
        emptied.append(door.admit(one, b"{}"))
    assert emptied == filled
    assert make_source().id == sent[0].source.id


def test_long_and_odd_identifiers_are_not_kept() -> None:
    door = make_door()
    many = [("email", f"person-number-{n}@example.com") for n in range(20)]
    for odd in ([("user_id", "u" * 400)], many, [("user_id", 7)], [("email", None)], [("email", "nobody")]):
        door.admit(incoming(identifiers=odd), b"{}")
    assert not door.identifiers.cached
    door.admit(incoming(identifiers=many[:2]), b"{}")
    assert len(door.identifiers.cached) == 1


def test_recent_values_are_bounded_and_the_latest_stay() -> None:
    recent: Recent[int, str] = Recent(10)
    for number in range(1_000):
        recent.put(number, str(number))
        assert len(recent) + len(recent._old) <= 10
    assert [recent[number] for number in range(995, 1_000)] == ["995", "996", "997", "998", "999"]
    assert recent[0] is None
    recent.clear()
    assert recent[999] is None
