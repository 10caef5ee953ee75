"""What the door reads from user agents and addresses: browser, system, device, bots and places."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from producers import agents
from producers.agents import reading
from producers.places import GeoFile
from schemas.errors import InvalidInput
from tests.clients.world import make_door, make_source
from tests.unit.door_events import incoming

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
)
PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 "
    "Mobile/15E148 Safari/604.1"
)
TABLET = (
    "Mozilla/5.0 (Linux; Android 14; SM-X710) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
)
GOOGLE = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


@pytest.mark.parametrize(
    ("agent", "members"),
    [
        (
            CHROME,
            {
                "browser": {"name": "Chrome", "version": "131"},
                "os": {"name": "Windows", "version": "10"},
                "device": {"category": "desktop"},
            },
        ),
        (
            PHONE,
            {
                "browser": {"name": "Mobile Safari", "version": "17.4"},
                "os": {"name": "iOS", "version": "17.4"},
                "device": {"category": "mobile", "manufacturer": "Apple", "model": "iPhone"},
            },
        ),
        (
            TABLET,
            {
                "browser": {"name": "Chrome", "version": "131"},
                "os": {"name": "Android", "version": "14"},
                "device": {"category": "tablet", "model": "SM-X710"},
            },
        ),
        (GOOGLE, {"bot": {"name": "Googlebot"}}),
        ("curl/8.5.0", {"bot": {"name": "curl"}, "browser": {"name": "curl", "version": "8.5"}}),
        ("YandexBot/3.0", {"bot": {"name": "YandexBot"}}),
        ("somebody", {}),
        ("سلام", {}),
        ("", {}),
        ("\ud83e", {}),
        (None, {}),
        (["Chrome"], {}),
        ({"brands": []}, {}),
    ],
)
def test_what_a_user_agent_says(agent: object, members: dict[str, object]) -> None:
    found = reading(agent)
    assert found.members == members
    assert found.is_bot is ("bot" in members)


def test_any_text_is_read_in_time_proportional_to_it() -> None:
    reading(CHROME)
    began = time.thread_time()
    for piece in ("a", ";", "(", "x ", "1.", "Mozilla/5.0 (", "bot", "Yandex", "سلام"):
        for length in (500, 100_000):
            agents._read.__wrapped__((piece * length)[:length])
    assert time.thread_time() - began < 5


def admitted(door: Any, **changes: Any) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(door.record(incoming(**changes))[1])
    return event


def test_the_reading_is_recorded_and_what_the_sender_says_itself_counts() -> None:
    event = admitted(make_door(), context={"userAgent": PHONE, "os": {"name": "iPadOS"}, "ip": "203.0.113.7"})
    assert event["context"] == {
        "userAgent": PHONE,
        "browser": {"name": "Mobile Safari", "version": "17.4"},
        "os": {"name": "iPadOS"},
        "device": {"category": "mobile", "manufacturer": "Apple", "model": "iPhone"},
        "ip": "203.0.113.0",
    }
    assert "flags" not in event


@pytest.mark.parametrize("bots", ["accept", "nobody"])
def test_bots_are_marked_and_kept_and_are_nobody_where_a_source_says_so(bots: Any) -> None:
    values = (("anonymous_id", "a-1"), ("email", "ada@example.com"))
    person = {"context": {"userAgent": GOOGLE}, "identifiers": values, "source": make_source(bots=bots)}
    event = admitted(make_door(), **person)
    assert (event["flags"], event["context"]["bot"]) == (["bot"], {"name": "Googlebot"})
    assert {one["value"] for one in event["identifiers"]} == {"a-1", "ada@example.com"}
    assert ("subject" in event) is (bots == "accept")
    assert all(one.get("trust") == "hint" for one in event["identifiers"]) is (bots == "nobody")
    human = admitted(make_door(), **person | {"context": {"userAgent": CHROME}})
    assert "subject" in human


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type="GeoLite2-City", languages=["en"])
    isfahan = {
        "country": {"iso_code": "IR", "names": {"en": "Iran", "fa": "ایران"}},
        "subdivisions": [{"iso_code": "10", "names": {"en": "Isfahan"}}, {"iso_code": "x", "names": {"en": "Deeper"}}],
        "city": {"names": {"en": "Kashan", "fa": "کاشان"}},
        "location": {"latitude": 33.98, "longitude": 51.44},
    }
    writer.insert_network(IPSet(["203.0.113.0/24", "2001:db8::/32"]), isfahan)
    writer.insert_network(IPSet(["198.51.100.0/24"]), {"country": {"iso_code": "DE"}})
    writer.insert_network(IPSet(["192.0.2.0/24"]), {"country": "odd", "subdivisions": {}, "city": {"names": ["x"]}})
    path = tmp_path_factory.mktemp("geo") / "city.mmdb"
    writer.to_db_file(str(path))
    return path


KASHAN = {"country": "IR", "region": "Isfahan", "city": "Kashan"}


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("203.0.113.7", KASHAN),
        (" 2001:db8:1:2::3 ", KASHAN),
        ("198.51.100.1", {"country": "DE"}),
        ("192.0.2.1", {}),
        ("127.0.0.1", {}),
        ("nowhere", {}),
        (None, {}),
        (7, {}),
    ],
)
def test_where_an_address_is(file: Path, address: object, place: dict[str, str]) -> None:
    assert GeoFile.open(file).of(address) == place


def test_a_place_is_recorded_before_the_address_is_shortened(file: Path) -> None:
    door = make_door(places=GeoFile.open(file))
    assert admitted(door, context={"ip": "203.0.113.7"})["context"] == {"ip": "203.0.113.0", "location": KASHAN}
    dropped = admitted(door, context={"ip": "203.0.113.7"}, source=make_source(addresses="drop"))
    assert dropped["context"] == {"location": KASHAN}
    assert admitted(door, context={}, sender="203.0.113.7")["context"] == {"location": KASHAN}
    own = {"location": {"city": "Yazd"}}
    assert admitted(door, context=own, sender="203.0.113.7")["context"] == own


@pytest.mark.parametrize("content", [None, b"", b"no MaxMind file"])
def test_what_is_no_maxmind_file_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.mmdb"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidInput, match="SIMORGH_GEO_FILE"):
        GeoFile.open(path)


def test_the_cache_is_bounded_and_may_be_emptied() -> None:
    before = reading(CHROME)
    agents._read.cache_clear()
    assert reading(CHROME) == before
    assert agents._read.cache_parameters()["maxsize"] == agents.CACHED_AGENTS
