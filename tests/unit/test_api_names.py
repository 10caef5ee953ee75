"""`GET /v1/seen`: names and values that were really seen."""

from collections.abc import Iterator
from dataclasses import replace
from threading import Barrier, Lock, Thread
from typing import Any

import pytest

from profile_api.models.operations import SeenPage
from profile_api.seen import Seen
from tests.unit.api_world import NOW, MakeWorld, World, node

pytest_plugins = ("tests.unit.api_fixtures",)


@pytest.fixture
def shop(make_world: MakeWorld) -> Iterator[World]:
    """A world that has kept no answers yet, with a few orders."""
    world = make_world()
    world.person(("user_id", "u1"), ("email", "sara@example.com"))
    anchor = node("user_id", "u1")
    columns = ["node", "kind", "name", "value", "ver", "source", "channel"]
    rows = [("trait", "country", '"DE"'), ("trait", "vip", "true"), ("consent", "marketing", "true")]
    for n, (kind, name, value) in enumerate(rows):
        world.insert("traits", columns, [(anchor, kind, name, value, n, "shop", "web")])
    items = [{"sku": "A1", "price": 2.5}, {"sku": "B2", "price": 3}]
    for currency in ("EUR", "EUR", "USD"):
        properties = {"currency": currency, "products": items, "note": None, "gift": False}
        world.events(anchor, [NOW], "order.completed", properties=properties, context={"page": {"path": "/pay"}})
    world.events(anchor, [NOW], "custom.signed_up")
    yield world
    world.empty()


def ask(world: World, query: str, status: int = 200) -> Any:
    answer = world.client.get(f"/v1/seen?{query}")
    assert answer.status_code == status, answer.text
    return answer.json()


def names(world: World, query: str) -> list[str]:
    answer = ask(world, query)
    SeenPage.model_validate(answer)
    return [one["name"] for one in answer["items"]]


def test_names_are_those_that_were_seen_and_no_others_of_the_contract(shop: World) -> None:
    assert names(shop, "of=types") == ["custom.signed_up", "order.completed"]
    assert names(shop, "of=traits") == ["country", "vip"]
    assert names(shop, "of=consents") == ["marketing"]
    assert names(shop, "of=identifiers") == ["email", "user_id"]
    assert names(shop, "of=properties&type=order.completed") == [
        "context.page", "context.page.path", "currency", "gift", "note", "products", "products.price", "products.sku",
    ]  # fmt: skip
    assert names(shop, "of=properties&type=page.viewed") == []


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("of=properties&type=order.completed&name=currency", [("EUR", 2), ("USD", 1)]),
        ("of=properties&type=order.completed&name=products.sku", [("A1", 3), ("B2", 3)]),
        ("of=properties&type=order.completed&name=products.price", [(2.5, 3), (3, 3)]),
        ("of=properties&type=order.completed&name=gift", [(False, 3)]),
        ("of=properties&type=order.completed&name=context.page.path", [("/pay", 3)]),
        ("of=properties&type=order.completed&name=context.page", []),
        ("of=properties&type=order.completed&name=products", []),
        ("of=properties&type=order.completed&name=note", []),
        ("of=properties&type=order.completed&name=nothing..here", []),
        ("of=traits&name=country", [("DE", 1)]),
        ("of=traits&name=vip", [(True, 1)]),
        ("of=traits&name=marketing", []),
    ],
)
def test_values_come_with_how_often_they_were_seen(shop: World, query: str, values: list[tuple[Any, int]]) -> None:
    answer = ask(shop, query)
    SeenPage.model_validate(answer)
    assert [(one["value"], one["count"]) for one in answer["items"]] == values


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "invalid_request"),
        ("of=profiles", "invalid_request"),
        ("of=properties", "missing_type"),
        ("of=properties&name=currency", "missing_type"),
        ("of=types&name=order.completed", "no_values"),
        ("of=properties&type=x&name=" + "a." * 8 + "a", "invalid_path"),
    ],
)
def test_what_cannot_be_asked_says_what_to_ask(shop: World, query: str, code: str) -> None:
    assert ask(shop, query, 422)["code"] == code


def test_the_warehouse_is_asked_one_thing_at_a_time(shop: World) -> None:
    under_way, most, guard, together = 0, 0, Lock(), Barrier(6)

    reader = shop.deps.reader

    class Counting:
        def rows(self, *asked: Any) -> Any:
            nonlocal under_way, most
            with guard:
                under_way += 1
                most = max(most, under_way)
            try:
                return reader.rows(*asked)
            finally:
                with guard:
                    under_way -= 1

    counting: Any = Counting()
    seen = Seen(replace(shop.deps, reader=counting))

    def look(kind: str) -> None:
        together.wait()
        seen.stored(kind)
        seen.types()

    threads = [Thread(target=look, args=(kind,)) for kind in ("trait", "consent") * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
