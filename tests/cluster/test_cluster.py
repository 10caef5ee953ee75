"""The roles as real processes on a real broker: what comes in at `collect` is seen at `api`, whoever works."""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from producers.vendors.request import Headers, VendorRequest
from producers.vendors.shopify import SHOPIFY
from producers.vendors.signing import signed_by
from schemas import topics
from tests.cluster.clients import Sender, stopped
from tests.cluster.harness import Api, Cluster, Role, eventually, opened_log, running_cluster
from tests.cluster.reckoning import declare, reckon
from tests.e2e.harness import WRITE_KEY
from tests.programs import run
from tests.webhook_receiver import Receiver, receiving

pytestmark = pytest.mark.timeout(600)

CLIENT = Path(__file__).parents[1] / "clients" / "python_sdk.py"
STAGES = ("events", "identity", "profiles", "rejected")


class Running:
    """A cluster with all roles, and who speaks to it."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        *self.workers, self.collect, self.api_role = cluster.together("work-1", "work-2", "collect", "api")
        self.api = Api(self.collect, self.api_role)

    def owned(self, stage: str) -> list[float]:
        return [w.metric("simorgh_partitions_owned", stage=stage) for w in self.workers if w.running]

    def shared_out(self) -> bool:
        """All partitions have an owner, and every worker has some of simorgh.events."""
        return sum(self.owned("events")) == 4 and min(self.owned("events")) > 0 and sum(self.owned("identity")) == 1

    def make_whole(self) -> None:
        """Start what the test before has stopped, whether it passed or not."""
        for broker in self.cluster.brokers:
            broker.resume()
        self.cluster.thaw_warehouse()
        if not self.cluster.bridge.running:
            self.cluster.bridge.start()
        for role in (*self.workers, self.collect, self.api_role):
            if not role.running:
                role.start()
        eventually(self.shared_out, "the partitions are not shared out")


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        made = Running(cluster)
        yield made
        made.api.close()


@pytest.fixture
def running(begun: Running) -> Running:
    """The cluster, whole: one failure is one failure."""
    begun.make_whole()
    return begun


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def order(person: str, name: str, revenue: float = 10.0) -> dict[str, Any]:
    properties = {"order_id": name, "revenue": revenue, "currency": "EUR"}
    return {"type": "track", "userId": person, "event": "Order Completed", "messageId": name, "properties": properties}


def test_a_killed_worker_is_replaced_by_the_other(running: Running) -> None:
    """Under load, with copies, in any order: nothing is lost and nothing counts twice. The first one: it reckons up all
    that is in the log."""
    declare(running.api)
    senders = [Sender(running.collect.url, n, seed=1) for n in range(2)]
    for sender in senders:
        sender.start()
    running.workers[0].kill()
    running.api.send(order("k", "k-1", 0.1))
    eventually(lambda: running.api.profile("user_id:k")["metrics"]["orders"] == 1, "nobody took over")
    acknowledged = stopped(senders)
    running.api.settled()
    assert [sum(running.owned(stage)) for stage in STAGES] == [4, 1, 4, 1]
    reckon(running.cluster, [running.api], [*acknowledged, order("k", "k-1", 0.1)])


def test_a_real_client_is_understood(running: Running) -> None:
    done = subprocess.run(
        [sys.executable, str(CLIENT), running.collect.url, WRITE_KEY, "segment", "gzip"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    running.api.settled()
    view = running.api.profile("user_id:user-1")
    assert view["metrics"]["revenue"] == {"EUR": 42.5}
    assert {i["type"] for i in view["identities"]} >= {"user_id", "email", "anonymous_id"}
    assert running.api.profile("anonymous_id:anon-1")["profile_id"] == view["profile_id"]


def test_a_vendor_signs_with_what_the_api_was_told(running: Running) -> None:
    """The secret is declared, and rotated, at `api`; `collect`, which is not restarted, verifies by it."""
    api = running.api
    api.post("/v1/sources", {"id": "store", "vendor": "shopify"})
    api.post("/v1/sources/store/secrets", {"secret": "the first one"})
    eventually(lambda: shopify(running, 1, "the first one") == 200, "the secret is not known", seconds=30)
    assert shopify(running, 2, "another one") == 401
    api.post("/v1/sources/store/secrets/rotate", {"secret": "the second one", "keep_hours": 0})
    eventually(lambda: shopify(running, 3, "the second one") == 200, "the new secret is not known", seconds=30)
    assert shopify(running, 4, "the first one") == 401
    api.settled()
    seen = api.profile("shopify_customer:7")["metrics"]
    assert (seen["orders"], seen["revenue"]) == (2, {"EUR": 40.0})


def shopify(running: Running, order: int, secret: str) -> int:
    """The collector's answer to an order that a shop signed with a secret."""
    told = {"id": order, "currency": "EUR", "total_price": "20.00", "customer": {"id": 7}}
    unsigned = VendorRequest("POST", Headers([("x-shopify-topic", "orders/create")]), json.dumps(told).encode(), 0)
    signed = signed_by(SHOPIFY.verify, unsigned, secret)
    url = f"{running.collect.url}/v1/webhooks/shopify/store"
    return httpx.post(url, content=signed.body, headers=signed.headers.items(), timeout=30).status_code


def test_merges_segments_and_webhooks(running: Running, receiver: Receiver) -> None:
    api = running.api
    mine = {"property": "order_id", "starts_with": "m-"}
    rule = {"event": "order.completed", "where": [mine], "count": {"gte": 2}}
    api.post("/v1/segments", {"id": "twice", "name": "Twice", "rule": rule})
    hook = {"url": receiver.url, "secret": "whsec_" + "c2VjcmV0" * 4}
    api.post("/v1/triggers", {"id": "hook", "segment": "twice", "on": ["entered"], "webhook": hook})
    api.send(
        order("m1", "m-o1"),
        {"type": "identify", "userId": "m1", "anonymousId": "am", "messageId": "m-i1", "traits": {}},
    )
    api.send(order("m2", "m-o2"), order("m3", "m-o3"))
    api.settled()
    assert api.get("/v1/segments/twice/members")["items"] == []
    merged = api.post("/v1/profiles/user_id:m1/merge", {"with": "user_id:m2", "reason": "one person"})["profiles"]
    assert [profile["metrics"]["orders"] for profile in merged] == [2]
    eventually(lambda: receiver.calls, "no webhook came")
    view = api.profile("user_id:m1")  # whoever is called sees why
    assert receiver.calls[0].data["profile_id"] == view["profile_id"] == merged[0]["profile_id"]
    assert sorted(segment["id"] for segment in view["segments"]) == ["spenders", "twice"]
    api.settled()
    assert api.profile("user_id:m2")["segments"] == view["segments"]
    [member] = api.get("/v1/segments/twice/members")["items"]
    assert member["profile_id"] == view["profile_id"]


def test_what_is_poison_is_rejected_and_stops_nobody(running: Running) -> None:
    """Past the collector, straight into the topic: no JSON, no envelope, no text."""
    with opened_log(running.cluster) as log:
        log.append(topics.EVENTS, [(b"p", b"{"), (b"q", b"\xff\xfe"), (b"r", b'{"id": 1}'), (b"s", b"")])
    running.api.send(order("after-poison", "after-poison"))
    running.api.settled()
    assert running.api.profile("user_id:after-poison")["metrics"]["orders"] == 1
    assert len(running.api.get("/v1/rejected")["items"]) == 4


def test_each_role_says_how_it_is(running: Running) -> None:
    for role in (*running.workers, running.collect, running.api_role):
        assert role.get("/healthz").status_code == 200
        assert role.get("/readyz").status_code == 200
    assert sum(w.metric("simorgh_batch_records_total", stage="events") for w in running.workers) > 0
    assert all(w.metric("simorgh_rebalances_total") > 0 for w in running.workers)
    assert running.api_role.metric("simorgh_lag_events") == 0


def test_a_stopped_worker_leaves_its_group_at_once(running: Running) -> None:
    assert running.workers[1].stop() == 0
    eventually(lambda: sum(running.owned("events")) == 4, "nobody took over", seconds=30)


def test_a_warehouse_that_is_down_costs_no_membership(running: Running) -> None:
    """Backpressure: batches are tried again, nothing is skipped, and no rebalance follows."""
    rebalances = [w.metric("simorgh_rebalances_total") for w in running.workers]
    running.cluster.bridge.kill()
    running.api.send(*(order(f"d{n}", f"d-{n}") for n in range(40)))
    eventually(lambda: any(w.metric("simorgh_retries_total", stage="events") for w in running.workers), "no retry")
    assert any(w.get("/readyz").status_code == 503 for w in running.workers)
    running.cluster.bridge.start()
    running.api.settled()
    assert all(running.api.profile(f"user_id:d{n}")["metrics"]["orders"] == 1 for n in range(40))
    assert [w.metric("simorgh_rebalances_total") for w in running.workers] == rebalances


def test_roles_name_all_settings_that_they_lack(tmp_path: Path) -> None:
    done = run("work")
    assert done.returncode == 1
    assert all(name in done.stderr for name in ("SIMORGH_LOG", "SIMORGH_CLICKHOUSE", "SIMORGH_SECRET"))


def test_a_worker_that_stands_still_ends_itself(running: Running) -> None:
    """SIGSTOP of the bridge: calls neither return nor fail."""
    other, stuck = running.workers
    assert stuck.stop() == 0
    stuck.start(SIMORGH_WORKER_STUCK_SECONDS="5")
    other.stop()
    eventually(lambda: stuck.metric("simorgh_partitions_owned", stage="events") == 4, "nobody took over")
    running.cluster.freeze_warehouse()
    try:
        running.api.send(order("stuck", "stuck-1"))
        assert stuck.wait(60) == 70
    finally:
        running.cluster.thaw_warehouse()
    assert "watchdog: simorgh.events" in stuck.errors.read_text()
    other.start()
    running.api.settled()
    assert running.api.profile("user_id:stuck")["metrics"]["orders"] == 1


def test_every_role_ends_though_the_broker_does_not_answer(running: Running) -> None:
    roles = [role for role in (*running.workers, running.collect, running.api_role) if role.running]
    assert {role.role for role in roles} == {"work", "collect", "api"}
    broker = running.cluster.brokers[0]
    broker.pause()
    try:
        with ThreadPoolExecutor(len(roles)) as stopping:
            ended = dict(zip(roles, stopping.map(Role.stop, roles), strict=True))
        assert not any(ended.values()), [role.errors.read_text()[-4_000:] for role, code in ended.items() if code]
    finally:
        broker.resume()
