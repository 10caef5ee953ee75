"""A replay on a cluster of real processes: nothing that anybody can see changes, whoever is killed when."""

import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import clickhouse_connect
import httpx
import pytest

from tests.cluster.harness import Api, Cluster, eventually, running_cluster
from tests.e2e.command_line import simorgh
from tests.effort import few
from tests.webhook_receiver import Receiver, receiving

pytestmark = pytest.mark.timeout(600)

PEOPLE = 12


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("replay"), SIMORGH_LOG_LEVEL="INFO") as made:
        yield made


@pytest.fixture(scope="module")
def hook() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


class Roles:
    """All roles of the cluster, and who speaks to them."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        *self.workers, collect, self.api_role = cluster.together("work-1", "work-2", "collect", "api")
        self.api = Api(collect, self.api_role)


@pytest.fixture(scope="module")
def roles(cluster: Cluster, hook: Receiver) -> Iterator[Roles]:
    made = Roles(cluster)
    live_through(made.api, hook)
    yield made
    made.api.close()


def live_through(api: Api, hook: Receiver) -> None:
    """Events, copies, a merge by hand and a split, segments, a trigger."""
    rules: dict[str, Any] = {
        "buyers": {"event": "order.completed", "count": {"gte": 2}, "within": "30d"},
        "known": {"all": [{"trait": "email", "exists": True}, {"segment": "buyers"}]},
    }
    for name, rule in rules.items():
        api.post("/v1/segments", {"id": name, "name": name, "rule": rule})
    webhook = {"url": hook.url, "secret": "whsec_" + "c2VjcmV0" * 4}
    api.post("/v1/triggers", {"id": "t", "segment": "known", "on": ["entered", "exited"], "webhook": webhook})
    for person in range(PEOPLE):
        api.send(*events_of(person))
    api.send(*events_of(3))
    api.send({"type": "track", "userId": "u0"})
    api.settled()
    api.post("/v1/profiles/user_id:u1/merge", {"with": "user_id:u2", "reason": "same person"})
    api.post("/v1/profiles/user_id:u3/merge", {"with": "user_id:u4", "reason": "a mistake"})
    mistake = {"identities": [{"type": "user_id", "value": "u4"}, {"type": "anonymous_id", "value": "a4"}]}
    api.post("/v1/profiles/user_id:u3/split", {**mistake, "reason": "it was one"})


def events_of(person: int, orders: int | None = None) -> list[dict[str, Any]]:
    who = {"userId": f"u{person}", "anonymousId": f"a{person}"}
    order = {"type": "track", "event": "Order Completed", "properties": {"revenue": 0.1, "currency": "EUR"}}
    return [
        {"type": "page", "anonymousId": f"a{person}", "messageId": f"p{person}-0"},
        {"type": "identify", **who, "messageId": f"p{person}-1", "traits": {"email": f"p{person}@example.com"}},
        *({**order, **who, "messageId": f"p{person}-o{n}"} for n in range(person if orders is None else orders)),
    ]


def seen(api: Api) -> dict[str, Any]:
    """All that the API says, but for how fresh it is."""
    status = api.settled()
    wanted = "traits,identities,segments,metrics,consent,events"
    views = [api.get(f"/v1/profiles/user_id:u{n}", include=wanted, limit=200) for n in range(PEOPLE)]
    for view in views:
        del view["freshness"]
    return {
        "events": status["events"],
        "profiles": [status["profiles"], status["identities"]],
        "views": views,
        "members": {name: members(api, name) for name in ("buyers", "known")},
        "rejected": sorted((one["code"], one["reason"]) for one in api.get("/v1/rejected", limit=200)["items"]),
        "explained": [api.get(f"/v1/profiles/user_id:u{n}/identities", explain="true") for n in range(PEOPLE)],
        "deliveries": api.get("/v1/triggers/t/deliveries", limit=200)["items"],
    }


def members(api: Api, segment: str) -> list[Any]:
    found = api.get(f"/v1/segments/{segment}/members", limit=200)["items"]
    return sorted(found, key=lambda one: str(one["profile_id"]))


def at_rest(api: Api) -> dict[str, Any]:
    """What is seen once nobody is left to be called."""
    eventually(
        lambda: all(d["status"] == "delivered" for d in api.get("/v1/triggers/t/deliveries", limit=200)["items"]),
        "a delivery waits forever",
    )
    return seen(api)


def is_live(api: Api, generation: int) -> Any:
    state = api.get("/v1/replay")
    return state if state == {**state, "state": "done", "generation": generation} else None


class Sender(threading.Thread):
    """Sends batch after batch until it is enough, and asks for a profile meanwhile."""

    def __init__(self, api: Api) -> None:
        super().__init__(daemon=True)
        self._api = api
        self.sent = 0
        self.wrong: list[str] = []
        self.enough = threading.Event()

    def run(self) -> None:
        with httpx.Client(base_url=self._api.http.base_url, headers=self._api.http.headers, timeout=60) as client:
            while not self.enough.wait(0.05):
                ids = range(self.sent, self.sent + 20)
                self._api.send(*({"type": "page", "userId": f"s{n % 10}", "messageId": f"s-{n}"} for n in ids))
                self.sent += 20
                answer = client.get(f"/v1/profiles/user_id:u{PEOPLE - 1}")
                if answer.status_code != 200 or answer.json()["metrics"]["orders"] != PEOPLE - 1:
                    self.wrong.append(answer.text)


def test_while_events_come_in(roles: Roles, hook: Receiver) -> None:
    api = roles.api
    before = at_rest(api)
    calls = len(hook.calls)
    assert calls > 0
    assert api.get("/v1/replay") == {"state": "idle"}
    sender = Sender(api)
    sender.start()
    try:
        eventually(lambda: sender.sent > 200, "nothing is sent")
        assert api.post("/v1/replay", None)["state"] == "running"
        again = api.http.post("/v1/replay")
        assert (again.status_code, again.json()["code"]) == (409, "replay_running")
        eventually(lambda: is_live(api, 2), "the replay does not end")
        through = sender.sent + 200
        eventually(lambda: sender.sent > through, "nothing is sent")
    finally:
        sender.enough.set()
        sender.join(60)
    after = at_rest(api)
    assert sender.wrong == []
    assert after["events"]["logged"] == before["events"]["logged"] + sender.sent
    assert after["events"]["unique"] == before["events"]["unique"] + sender.sent
    counted = [api.profile(f"user_id:s{n}")["metrics"]["events"] for n in range(10)]
    assert sum(counted) == sender.sent
    for name in ("views", "members", "rejected", "explained", "deliveries"):
        assert after[name] == before[name], name
    assert len(hook.calls) == calls
    api.send(*events_of(PEOPLE, 3))
    eventually(lambda: len(hook.calls) == calls + 1, "the trigger does not follow the new generation")


@pytest.mark.parametrize("points", few([("noted",)], [("noted",), ("rebuilt", "differing", "noted")]), ids=",".join)
def test_killed_workers_are_taken_over_from(roles: Roles, hook: Receiver, points: tuple[str, ...]) -> None:
    """Whoever builds is killed, in the end right before the pointer moves; the next one ends it."""
    api = roles.api
    before = at_rest(api)
    calls = len(hook.calls)
    live = api.get("/v1/replay").get("generation", 1)
    for worker in roles.workers:
        worker.kill()
    api.post("/v1/replay", None)
    for point in points:
        dying = roles.cluster.role("work", f"dies-{point}", SIMORGH_CRASH_AT=f"{point}:1")
        assert dying.wait(90) == -signal.SIGKILL
        assert api.get("/v1/replay")["state"] == "running"
    roles.workers[0].start()
    eventually(lambda: is_live(api, live + 1), "nobody went on")
    assert at_rest(api) == before
    assert len(hook.calls) == calls


@pytest.mark.soak
def test_tables_of_another_version_are_rebuilt(roles: Roles, hook: Receiver) -> None:
    """By the first worker that meets them: nobody has to ask."""
    api = roles.api
    before = at_rest(api)
    calls = len(hook.calls)
    live = api.get("/v1/replay").get("generation", 1)
    for worker in roles.workers:
        worker.stop()
    command(roles.cluster, f"ALTER DATABASE default_g{live} MODIFY COMMENT 'tables of another version'")
    command(roles.cluster, f"ALTER TABLE default_g{live}.traits DROP COLUMN channel")
    roles.workers[0].start()
    eventually(lambda: is_live(api, live + 1), "nobody rebuilt them")
    eventually(lambda: roles.workers[0].get("/readyz").status_code == 200, "the worker is not ready")
    assert at_rest(api) == before
    assert len(hook.calls) == calls
    assert "of another version" in roles.workers[0].errors.read_text()


def test_tables_that_are_gone_are_rebuilt(roles: Roles, hook: Receiver, tmp_path: Path) -> None:
    """By the worker that misses them, and once more by command."""
    api = roles.api
    before = at_rest(api)
    calls = len(hook.calls)
    live = api.get("/v1/replay").get("generation", 1)
    roles.workers[0].stop()
    command(roles.cluster, f"DROP DATABASE default_g{live} SYNC")
    roles.workers[0].start()
    eventually(lambda: is_live(api, live + 1), "nobody rebuilt them")
    assert at_rest(api) == before
    named = {**roles.cluster.environment, "SIMORGH_API": roles.api_role.url}
    assert f"generation {live + 2} is live" in simorgh("replay", cwd=tmp_path, **named).answer()
    assert at_rest(api) == before
    assert len(hook.calls) == calls


def command(cluster: Cluster, statement: str) -> None:
    client = clickhouse_connect.get_client(dsn=cluster.bridge.url)
    client.command(statement)
    client.close()
