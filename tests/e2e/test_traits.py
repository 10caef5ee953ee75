"""Computed traits over HTTP, on one machine: declared, shown, read by a rule, explained, shadowing, gone again."""

from pathlib import Path
from typing import Any

from tests.e2e.harness import Client, running


def order(user: str, number: int, revenue: str, category: str) -> dict[str, Any]:
    lines = [{"product_id": "p0", "category": "paper"}, {"product_id": f"p{number}", "category": category}]
    bought = {"order_id": f"{user}-{number}", "revenue": revenue, "currency": "EUR", "products": lines}
    return {
        "type": "track", "userId": user, "event": "Order Completed", "messageId": f"{user}-{number}",
        "timestamp": f"2026-01-0{number}T12:00:00Z", "properties": bought,
    }  # fmt: skip


def shown(client: Client, user: str) -> dict[str, Any]:
    traits: dict[str, Any] = client.profile(f"user_id:{user}", include="traits", provenance="true")["traits"]
    return traits


def test_a_trait_from_its_declaration_to_its_end(tmp_path: Path) -> None:
    with running(tmp_path / "data") as (server, client):
        client.send(
            {"type": "identify", "userId": "u1", "messageId": "i", "traits": {"lamps": "many", "city": "Rasht"}}
        )
        client.send(*(order("u1", n, f"{n}.10", "lamps" if n < 3 else "paper") for n in (1, 2, 3)))
        client.send(order("u2", 1, "5", "paper"))
        client.settled()
        lamps = [{"property": "products.category", "eq": "lamps"}]
        made = client.post("/v1/traits", {"id": "lamps", "compute": {"event": "order.completed", "where": lamps}}, 201)
        assert made["state"] == "live"
        client.post(
            "/v1/traits", {"id": "spent", "compute": {"event": "order.completed", "take": "sum", "of": "$money"}}
        )
        client.post(
            "/v1/traits",
            {"id": "tier", "compute": {"cases": [{"when": {"trait": "spent.EUR", "gte": 6}, "value": "gold"}]}},
        )
        client.post("/v1/segments", {"id": "golden", "rule": {"trait": "tier", "eq": "gold"}}, 201)
        client.post("/v1/segments", {"id": "lit", "rule": {"trait": "lamps", "gte": 3}}, 201)

        traits = shown(client, "u1")
        assert traits["lamps"]["value"] == 2
        assert traits["lamps"]["computed"] == 1
        assert traits["lamps"]["shadowed"]["value"] == "many"
        assert traits["spent"]["value"] == {"EUR": 6.3}
        assert traits["tier"]["value"] == "gold"
        assert "lamps" not in shown(client, "u2")
        assert client.get("/v1/segments/golden")["size"] == 1

        why = client.get("/v1/traits/lamps/why/user_id:u1")
        assert (why["value"], why["matched"], [one["id"] for one in why["events"]]) == (2, 2, ["u1-2", "u1-1"])
        why = client.get("/v1/traits/tier/why/user_id:u1")
        assert why["value"] == "gold"
        assert why["cases"][0]["why"]["evidence"]["matched"] == 3
        why = client.get("/v1/segments/golden/why/user_id:u1")["why"]
        assert why["evidence"] == {"value": "gold"}

        client.send(order("u1", 4, "1", "lamps"))
        client.settled()
        assert shown(client, "u1")["lamps"]["value"] == 3
        assert client.get("/v1/segments/lit")["size"] == 1

        ring = {"cases": [{"when": {"segment": "golden"}, "value": 1}]}
        assert client.http.put("/v1/traits/spent", json={"compute": ring}).status_code == 422
        client.delete("/v1/traits/lamps")
        assert shown(client, "u1")["lamps"]["value"] == "many"
        assert client.get("/v1/segments/lit")["size"] == 0
        assert [one["id"] for one in client.get("/v1/traits")["items"]] == ["spent", "tier"]

        server.kill()
        server.start()
        assert shown(Client(server), "u1")["spent"]["value"] == {"EUR": 7.3}
