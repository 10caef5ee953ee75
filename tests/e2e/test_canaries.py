"""No line of the server's log holds anything of a customer, whatever goes wrong: canaries everywhere in requests."""

from pathlib import Path
from typing import Any

from tests.e2e.harness import Client, running
from tests.e2e.test_truth import flip_bytes_of_every_table

CANARY = "canary-7f3a"
BODIES: tuple[dict[str, Any], ...] = (
    {"type": "identify", "userId": CANARY, "traits": {"email": f"{CANARY}@example.com", CANARY: CANARY}},
    {"type": "track", "userId": CANARY, "event": CANARY, "properties": {CANARY: CANARY, "revenue": CANARY}},
    {"type": CANARY, "userId": CANARY},
    {"type": "track", "event": CANARY, "timestamp": CANARY},
)


def send(client: Client) -> None:
    for n, body in enumerate(BODIES):
        client.http.post(
            f"/v1/batch?writeKey={CANARY}",
            json={"batch": [body | {"messageId": f"{CANARY}-{n}"}], "sentAt": CANARY},
            headers={"authorization": "", "user-agent": CANARY},
            auth=("test-write-key", ""),
        )
    client.http.post("/v1/track", content=f"{{{CANARY}", headers={"authorization": ""}, auth=(CANARY, ""))
    client.http.post("/v1/events", content=CANARY, headers={"content-type": CANARY})


def ask(client: Client) -> set[int]:
    """Everything that takes something of a caller, with canaries in it. The statuses that came."""
    http, key = client.http, f"user_id:{CANARY}"
    email = f"email:{CANARY}@example.com"
    one = {"type": "user_id", "value": CANARY}
    answers = [
        *(http.get(f"/v1/profiles/{at}{rest}") for at in (key, email, CANARY) for rest in
          ("", "/events", "/identities?explain=true", f"?include={CANARY}", "?include=events&provenance=true")),
        http.get("/v1/profiles", params={"search": CANARY}),
        http.get("/v1/profiles", params={"cursor": CANARY, "limit": CANARY}),
        http.post("/v1/profiles/lookup", json={"identifiers": [one], "profiles": [CANARY]}),
        http.post("/v1/profiles/lookup", json={CANARY: CANARY}),
        http.post("/v1/profiles/lookup", content=f"{CANARY}", headers={"content-type": CANARY}),
        http.post(f"/v1/profiles/{key}/merge", json={"with": email, "reason": CANARY}),
        http.post(f"/v1/profiles/{key}/split", json={"identities": [one], "reason": CANARY}),
        http.post("/v1/segments/preview", json={"rule": {"trait": "email", "eq": CANARY}}),
        http.post("/v1/segments/preview", json={"rule": {"trait": CANARY, "matches": f"({CANARY}"}}),
        http.post("/v1/segments", json={"id": "seen", "name": CANARY, "rule": {"trait": "city", "eq": CANARY}}),
        http.get(f"/v1/segments/seen/why/{key}"),
        http.get(f"/v1/segments/{CANARY}/members"),
        http.put("/v1/identity-rules", json={"blocked": {CANARY: ["("]}}),
        http.get(f"/v1/rejected/{CANARY}-2"),
        http.get("/v1/rejected", params={"source": CANARY, "code": CANARY}),
        http.post(f"/v1/rejected/{CANARY}-2/retry", content=CANARY),
        http.post("/v1/sources", json={"id": CANARY.upper(), "name": CANARY}),
        http.post("/v1/tokens", json={"name": CANARY, "scopes": [CANARY]}),
        http.request("PATCH", f"/v1/profiles/{key}", content=CANARY),
        http.get(f"/{CANARY}", headers={"authorization": CANARY, CANARY: CANARY}),
        http.get(f"/v1/status?{CANARY}={CANARY}", headers={"authorization": f"Bearer {CANARY}"}),
    ]  # fmt: skip
    return {answer.status_code for answer in answers}


def test_no_line_of_the_log_holds_anything_of_a_customer(tmp_path: Path) -> None:
    with running(tmp_path / "data", SIMORGH_LOG_LEVEL="DEBUG") as (server, client):
        send(client)
        client.settled()
        assert {200, 404, 422} <= ask(client)
        flip_bytes_of_every_table(server.data / "warehouse" / "store")
        send(client)
        assert 500 in ask(client)
    log = (tmp_path / "server.err").read_text()
    assert "/v1/profiles/{key}" in log, "a failure is logged by its route"
    assert not [line for line in log.splitlines() if CANARY in line.lower()]
