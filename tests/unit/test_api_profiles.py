"""The 360° view, look-up, search and identities over rows written by hand."""

from collections.abc import Callable
from urllib.parse import quote

import orjson
import pytest

from identity.nodes import profile_id, to_hex
from profile_api import views
from profile_api.models.profiles import EventPage, Profile
from schemas import topics
from schemas.clock import iso
from stream_processors.views.recent import RecentViews
from tests.unit.api_world import NOW, MakeWorld, World, get, moment, node, sara

pytest_plugins = ("tests.unit.api_fixtures",)


def test_a_view_in_memory_is_answered_without_the_tables_and_others_from_them(make_world: MakeWorld) -> None:
    recent = RecentViews()
    world = make_world(at_hand=True, recent=recent)
    key, other = "/v1/profiles/user_id:u42", "/v1/profiles/user_id:u7"
    profile = sara(world)
    world.person(("user_id", "u7"))
    stored = get(world, key)
    [shown] = world.deps.views.of([profile]).items()
    recent.show({node("user_id", "u42"): profile}, dict([shown]))
    named = get(world, f"{key}?include=traits,identities,segments,metrics,consent,predictions")
    assert named.pop("purposes").keys() == {"marketing"}
    assert get(world, key) == named == stored
    assert get(world, other)["profile_id"] == profile_id(node("user_id", "u7"))
    world.empty()
    assert get(world, key) == stored
    get(world, other, 404)
    recent.show({}, {profile: shown[1]._replace(live=False)})
    get(world, key, 404)


def test_the_view_has_the_documented_shape(world: World) -> None:
    profile = sara(world)
    view = get(world, "/v1/profiles/user_id:u42")
    assert view == {
        "profile_id": profile_id(profile),
        "workspace": "default",
        "traits": {"email": "sara@example.com", "name": "Sara K"},
        "identities": [
            {"type": kind, "value": value, "first_seen": iso(NOW - 5000), "last_seen": iso(NOW - 1000)}
            for kind, value in (("email", "sara@example.com"), ("user_id", "u42"))
        ],
        "segments": [{"id": "repeat-buyers", "entered_at": iso(NOW - 4000)}],
        "metrics": {
            "events": 12,
            "first_seen": iso(NOW - 5000),
            "last_seen": iso(NOW - 1000),
            "orders": 3,
            "orders_placed": 4,
            "revenue": {"EUR": 361.5, "USD": 120},
            "refunds": {},
            "net_revenue": {"EUR": 361.5, "USD": 120},
            "counts": {"order.completed": 3, "page.viewed": 9},
        },
        "consent": {"marketing": True},
        "predictions": {},
        "freshness": {"as_of": iso(NOW), "positions": {topics.EVENTS: [0, 0]}, "lag_seconds": 0.0},
    }
    Profile.model_validate(view)


def test_every_key_of_a_profile_leads_to_the_same_view(world: World) -> None:
    profile = sara(world)
    for key in ("user_id:u42", "email:SARA@example.com", "email:sara%40example.com", profile_id(profile)):
        assert get(world, f"/v1/profiles/{key}")["profile_id"] == profile_id(profile)


@pytest.mark.parametrize(
    "value", ["a/b", "a/events", "https://x.example/y?z=1#f", "a+b", "100%", "a:b:c", "سلام", "a b", "%2F"]
)
def test_a_value_survives_percent_encoding(world: World, value: str) -> None:
    profile = world.person(("user_id", value))
    assert get(world, f"/v1/profiles/user_id:{quote(value, safe='')}")["profile_id"] == profile_id(profile)
    timeline = get(world, f"/v1/profiles/user_id%3A{quote(value, safe='')}/events")
    assert timeline == {"items": [], "next_cursor": None}


def test_a_plus_and_a_slash_need_no_encoding(world: World) -> None:
    phone = world.person(("phone", "+491512345678"))
    slash = world.person(("user_id", "a/b"))
    assert get(world, "/v1/profiles/phone:+491512345678")["profile_id"] == profile_id(phone)
    assert get(world, "/v1/profiles/user_id:a/b")["profile_id"] == profile_id(slash)


def test_a_phone_number_without_a_country_is_looked_up_in_the_regions_that_are_named(make_world: MakeWorld) -> None:
    world = make_world(phone_region="IR")
    iranian = world.person(("phone", "+989123456789"), ("user_id", "ir"))
    german = world.person(("phone", "+499123456789"))
    key = "/v1/profiles/phone:09123456789"
    assert get(world, key)["profile_id"] == profile_id(iranian)
    world.registry.declare("source", "till", {"region": "DE"}, "test")
    world.registry.declare("source", "stall", {"region": "FR"}, "test")  # nobody has it there
    assert get(world, key, 409)["code"] == "ambiguous_key"
    assert get(world, f"{key}/events", 409)["code"] == "ambiguous_key"
    body = {"identifiers": [{"type": "phone", "value": "09123456789"}, {"type": "phone", "value": "00989123456789"}]}
    several, alone = world.client.post("/v1/profiles/lookup", json=body).json()["items"]
    assert several["profile"] is None
    assert alone["profile"]["profile_id"] == profile_id(iranian)
    found = get(world, "/v1/profiles?search=0912 345 6789")["items"]
    assert {one["profile_id"] for one in found} == {profile_id(iranian), profile_id(german)}
    world.registry.declare("source", "till", {"region": "FR"}, "test")
    assert get(world, key)["profile_id"] == profile_id(iranian)
    world.empty()


def test_a_phone_number_of_no_region_says_what_is_missing(world: World) -> None:
    world.person(("phone", "+989123456789"))
    assert "SIMORGH_PHONE_REGION" in get(world, "/v1/profiles/phone:09123456789", 404)["message"]


@pytest.mark.parametrize(
    "key",
    ["user_id:nobody", "email:no-email", "Bad Type:x", "nonsense", "prf_12", "prf_" + "0" * 32, "", ":"],
)
def test_a_key_that_nobody_has_is_not_found(world: World, key: str) -> None:
    body = get(world, f"/v1/profiles/{quote(key)}", 404)
    assert body["code"] == "not_found"
    assert key == "" or quote(key) not in body["message"]


@pytest.mark.parametrize(
    "attack",
    ["'; DROP TABLE identity; --", "x' OR '1'='1", "{node:UInt128}", "\\'", "x\ty", "%(a)s", "💥", "}}){{"],
)
def test_injection_strings_are_values(world: World, attack: str) -> None:
    profile = sara(world)
    get(world, f"/v1/profiles/user_id:{quote(attack, safe='')}", 404)
    assert get(world, f"/v1/profiles?search={quote(attack, safe='')}")["items"] == []
    assert get(world, f"/v1/profiles/user_id:u42/events?type={quote(attack, safe='')}")["items"] == []
    assert get(world, "/v1/profiles/user_id:u42")["profile_id"] == profile_id(profile)


def test_a_superseded_id_resolves_and_an_absorbed_row_is_not_shown(world: World) -> None:
    older, younger = world.person(("user_id", "u1")), world.person(("anonymous_id", "a1"))
    world.belong([younger], older, 2)
    world.leave([younger], younger, 2)
    world.row(younger, [], {}, 2, live=0)
    assert get(world, f"/v1/profiles/{profile_id(younger)}")["profile_id"] == profile_id(older)


def test_the_latest_row_wins(world: World) -> None:
    profile = sara(world)
    world.row(profile, [("user_id", "u42")], {"city": "Isfahan"}, 9, events=13, segments={"vip": NOW - 1})
    view = get(world, "/v1/profiles/user_id:u42")
    assert (view["traits"], view["metrics"]["events"]) == ({"city": "Isfahan"}, 13)
    assert view["segments"] == [{"id": "vip", "entered_at": iso(NOW - 1)}]


def test_an_identifier_that_belongs_to_nobody_is_not_found(world: World) -> None:
    sara(world)
    world.belong([node("email", "sara@example.com")], 0, 5)
    get(world, "/v1/profiles/email:sara@example.com", 404)


def test_include_names_the_parts(world: World) -> None:
    profile = sara(world)
    ids = world.events(profile, [NOW - 2, NOW - 1])
    view = get(world, "/v1/profiles/user_id:u42?include=traits,events&whatever=1")
    assert set(view) == {"profile_id", "workspace", "traits", "events", "freshness"}
    assert [event["id"] for event in view["events"]["items"]] == ids[::-1]
    EventPage.model_validate(view["events"])
    assert set(get(world, "/v1/profiles/user_id:u42")) == {
        *views.DEFAULT_PARTS,
        "profile_id",
        "workspace",
        "freshness",
    }
    assert get(world, "/v1/profiles/user_id:u42?include=shoes", 422)["code"] == "invalid_include"


def test_provenance_stands_beside_each_trait(world: World) -> None:
    sara(world)
    view = get(world, "/v1/profiles/user_id:u42?include=traits&provenance=true")
    assert view["traits"]["name"] == {
        "value": "Sara K",
        "source": "shop",
        "channel": "web",
        "time": iso(NOW - 5000),
    }


def test_provenance_is_of_the_value_beside_it_and_is_waited_for(make_world: MakeWorld) -> None:
    recent = RecentViews()
    world = make_world(at_hand=True, recent=recent, visible_within=0.3)
    profile = sara(world)
    [view] = world.deps.views.of([profile]).values()
    newer = view._replace(ver=2, text=view.text.replace("Sara K", "Sara Kamali"))
    recent.show({node("user_id", "u42"): profile}, {profile: newer})
    path = "/v1/profiles/user_id:u42?include=traits"
    assert get(world, path)["traits"]["name"] == "Sara Kamali"
    assert get(world, f"{path}&provenance=true", 503)["code"] == "not_visible_yet"
    late = {"name": {"source": "till", "channel": "pos", "time": iso(NOW)}}
    known = (("user_id", "u42"), ("email", "sara@example.com"))
    world.row(profile, known, {"name": "Sara Kamali"}, 3, provenance=orjson.dumps(late).decode())
    traits = get(world, f"{path}&provenance=true")["traits"]
    assert traits == {"name": {"value": "Sara Kamali", **late["name"]}}
    world.empty()


def test_money_is_a_json_number_with_every_digit(world: World) -> None:
    profile = world.person(("user_id", "rich"), revenue={"IRR": "12345678901234567890123.120000"})
    text = world.client.get(f"/v1/profiles/{profile_id(profile)}").text
    assert '"revenue":{"IRR":12345678901234567890123.12}' in text


def test_freshness_is_that_of_the_oldest_waiting_record(fresh_world: World) -> None:
    world = fresh_world
    sara(world)
    world.log.append(topics.EVENTS, [(b"k", b"{}")])
    fresh = get(world, "/v1/profiles/user_id:u42")["freshness"]
    assert fresh["as_of"] != iso(NOW)
    world.catch_up()
    caught_up = get(world, "/v1/profiles/user_id:u42")["freshness"]
    assert (caught_up["as_of"], sum(caught_up["positions"][topics.EVENTS])) == (iso(NOW), 1)


def test_lookup_answers_each_key_in_order(world: World) -> None:
    profile = sara(world)
    body = {
        "identifiers": [{"type": "user_id", "value": "u42"}, {"type": "user_id", "value": "nobody"}],
        "profiles": [profile_id(profile), "prf_x"],
        "include": ["traits", "segments"],
    }
    items = world.client.post("/v1/profiles/lookup", json=body).json()["items"]
    assert [item["key"] for item in items] == ["user_id:u42", "user_id:nobody", profile_id(profile), "prf_x"]
    assert [item["profile"] is None for item in items] == [False, True, False, True]
    assert set(items[0]["profile"]) == {"profile_id", "workspace", "traits", "segments", "freshness"}
    assert items[0]["profile"]["segments"] == [{"id": "repeat-buyers", "entered_at": iso(NOW - 4000)}]


def test_lookup_takes_a_thousand_keys_and_no_more(world: World) -> None:
    sara(world)
    keys = [{"type": "user_id", "value": f"u{i}"} for i in range(1000)]
    items = world.client.post("/v1/profiles/lookup", json={"identifiers": keys}).json()["items"]
    assert [item["key"] for item in items if item["profile"]] == ["user_id:u42"]
    answer = world.client.post("/v1/profiles/lookup", json={"identifiers": [*keys, keys[0]]})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


@pytest.mark.parametrize("text", ["u42", "SARA@example.com", "sar", "Sara k", "user_id:u42", "+491512345678"])
def test_search_finds_by_identifier_name_and_email(world: World, text: str) -> None:
    world.person(("user_id", "other"), traits={"name": "Omid"})
    profile = world.person(
        ("user_id", "u42"), ("phone", "+491512345678"), ("email", "sara@example.com"),
        traits={"email": "sara@example.com", "name": "Sara K"},
    )  # fmt: skip
    found = get(world, f"/v1/profiles?search={text}")["items"]  # the plus is not encoded, as people do
    assert [view["profile_id"] for view in found] == [profile_id(profile)]


def walk(world: World, path: str, between: Callable[[int], None] = lambda page: None) -> list[str]:
    """The profile ids of all pages; `between` is called after each page, with its number."""
    seen, cursor, pages = [], "", 0
    while True:
        answer = get(world, path + cursor)
        seen += [view["profile_id"] for view in answer["items"]]
        if answer["next_cursor"] is None:
            return seen
        cursor = f"&cursor={answer['next_cursor']}"
        between(pages)
        pages += 1


@pytest.mark.parametrize(
    "path", ["?limit=2", "?limit=1&search=p", "?limit=2&search=p&order=id", "?limit=2&order=newest"]
)
def test_a_walk_meets_everybody_once_though_all_are_seen_meanwhile(world: World, path: str) -> None:
    people = [("user_id", f"p{i}") for i in range(5)]
    first, traits = moment(NOW - 9000), {"name": "Parisa"}
    profiles = [
        world.person(one, traits=traits, first_seen=first, last_seen=moment(NOW - i // 2))
        for i, one in enumerate(people)
    ]

    def all_are_seen(page: int) -> None:
        for n, (one, profile) in enumerate(zip(people, profiles, strict=True)):
            world.row(profile, [one], traits, 2 + page, first_seen=first, last_seen=moment(NOW + 10 * page + n))

    seen = walk(world, f"/v1/profiles{path}", all_are_seen)
    assert len(seen) == len(set(seen)) == len(profiles)
    assert set(seen) == {profile_id(profile) for profile in profiles}


def test_profiles_come_by_id_or_newest_or_latest_first(world: World) -> None:
    made = [
        world.person(
            ("user_id", f"p{i}"), first_seen=moment(NOW - 100 + i), last_seen=moment(NOW - i), traits={"name": "P"}
        )
        for i in range(4)
    ]
    ids = [profile_id(profile) for profile in made]
    assert walk(world, "/v1/profiles?limit=3") == sorted(ids)
    assert walk(world, "/v1/profiles?limit=3&search=p") == ids[::-1]
    assert walk(world, "/v1/profiles?limit=3&order=newest") == ids[::-1]
    assert walk(world, "/v1/profiles?limit=3&order=latest") == ids
    cursor = get(world, "/v1/profiles?limit=1")["next_cursor"]
    assert get(world, f"/v1/profiles?limit=1&order=latest&cursor={cursor}", 422)["code"] == "invalid_cursor"
    assert get(world, "/v1/profiles?order=oldest", 422)["errors"][0]["message"].startswith("wanted 'id', 'newest' or")


def test_identities_explain_merges_and_refusals_with_reasons(world: World) -> None:
    sara(world)
    kiosk = world.person(("device_id", "kiosk-1"))
    mine = node("user_id", "u42")
    [cause] = world.events(mine, [NOW - 9])
    of_event = {"key": to_hex(world.offsets - 1 ^ 0xFF), "source": "shop", "anchor": to_hex(mine)}
    refused = {"outcome": "refused", "a": to_hex(mine), "b": to_hex(kiosk), "reason": "limit:user_id", **of_event}
    merged = {
        "outcome": "merged",
        "survivor": to_hex(mine),
        "absorbed": to_hex(node("email", "sara@example.com")),
    }
    world.insert(
        "decisions",
        ["node", "off", "n", "at", "outcome", "detail"],
        [
            (mine, 1, 0, moment(NOW - 9), "merged", orjson.dumps(merged).decode()),
            (mine, 2, 0, moment(NOW - 8), "refused", orjson.dumps(refused).decode()),
        ],
    )
    answer = get(world, "/v1/profiles/user_id:u42/identities?explain=true")
    assert [identity["type"] for identity in answer["items"]] == ["email", "user_id"]
    refusal, merge = answer["decisions"]
    assert refusal["reason"] == "limit:user_id"
    assert refusal["between"] == [
        {"type": "user_id", "value": "u42"},
        {"type": "device_id", "value": "kiosk-1"},
    ]
    assert refusal["event"] == {"source": "shop", "id": cause, "time": iso(NOW - 9)}
    assert "event" not in merge, "a steward's"
    assert (merge["outcome"], merge["survivor"], bool(merge["reason"])) == ("merged", profile_id(mine), True)
    assert "decisions" not in get(world, "/v1/profiles/user_id:u42/identities")
