"""Two workers and two API processes under load, while workers, broker and warehouse are killed and come back."""

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cluster.clients import Sender, stopped
from tests.cluster.harness import Api, Cluster, Role, eventually, running_cluster
from tests.cluster.reckoning import declare, reckon
from tests.e2e.harness import WRITE_KEY

SESSION = "6"
"""Seconds: as short as a broker allows."""

OUTAGE_SECONDS = 60
RATE = 2_000
"""Events a second, before, during and after the outage."""
CONNECTIONS = 2
WARM_UP_SECONDS = 40
CAUGHT_UP = 2 * RATE
"""Records, of all stages together: what is on its way while nobody lags. With a load it is never none at all."""
LONGEST_RECOVERY = 2 * OUTAGE_SECONDS
"""Seconds: on two cores for all processes of the test, 35 to 55 were measured (docs/benchmarks.md)."""

FAULTS = (
    *("kill_worker", "stop_worker", "freeze_worker", "kill_warehouse", "slow_warehouse"),
    *("restart_broker", "freeze_broker"),
)


class Chaos:
    """What goes wrong, one thing at a time, for as long as it is let."""

    def __init__(self, cluster: Cluster, workers: list[Role], chance: random.Random) -> None:
        self._cluster = cluster
        self._workers = workers
        self._chance = chance
        self.done: Counter[str] = Counter()

    def rage(self, seconds: float) -> None:
        """Each fault once, in an order by chance, and then any until the time is over. All runs again at the end."""
        end = time.monotonic() + seconds
        first = self._chance.sample(FAULTS, len(FAULTS))
        while first or time.monotonic() < end:
            fault = first.pop() if first else self._chance.choice(FAULTS)
            getattr(self, fault)()
            self.done[fault] += 1
            time.sleep(self._chance.uniform(0.5, 2.0))  # the load goes on meanwhile

    def kill_worker(self) -> None:
        worker = self._chance.choice(self._workers)
        worker.kill()
        worker.start()

    def stop_worker(self) -> None:
        worker = self._chance.choice(self._workers)
        worker.stop()
        worker.start()

    def freeze_worker(self) -> None:
        """A zombie: it wakes up when its partitions are long another's."""
        worker = self._chance.choice(self._workers)
        worker.send_signal(signal.SIGSTOP)
        time.sleep(float(SESSION) + self._chance.uniform(0.5, 2.0))
        worker.send_signal(signal.SIGCONT)

    def kill_warehouse(self) -> None:
        self._cluster.bridge.kill()
        time.sleep(self._chance.uniform(0.5, 3.0))
        self._cluster.bridge.start()

    def slow_warehouse(self) -> None:
        self._cluster.freeze_warehouse()
        time.sleep(self._chance.uniform(0.5, 3.0))
        self._cluster.thaw_warehouse()

    def restart_broker(self) -> None:
        broker = self._chance.choice(self._cluster.brokers)
        self._chance.choice([broker.stop, broker.kill])()
        broker.start()

    def freeze_broker(self) -> None:
        """With others beside it, it wakes up when they lead what it led."""
        broker = self._chance.choice(self._cluster.brokers)
        broker.pause()
        time.sleep(self._chance.uniform(1.0, 5.0))
        broker.resume()


def survive(folder: Path, seconds: float, seed: int, brokers: int = 1) -> Counter[str]:
    """What went wrong, once each fault has come and the time is over. Fails where an event is lost or counts twice."""
    began = time.monotonic()
    with running_cluster(folder, brokers, SIMORGH_WORKER_SESSION_SECONDS=SESSION) as cluster:
        *workers, collect, first, second = cluster.together("work-1", "work-2", "collect", "api-1", "api-2")
        apis = [Api(collect, role) for role in (first, second)]
        declare(apis[0])
        senders = [Sender(collect.url, n, seed) for n in range(2)]
        for sender in senders:
            sender.start()
        chaos = Chaos(cluster, workers, random.Random(seed))
        chaos.rage(seconds)
        acknowledged = stopped(senders)
        quiet = time.monotonic()
        eventually(lambda: all(worker.get("/readyz").status_code == 200 for worker in workers), "a worker is ill")
        for api in apis:
            api.settled(240)
        settled = time.monotonic()
        counted = reckon(cluster, apis, acknowledged)
        for api in apis:
            api.close()
    print(f"\nchaos, {brokers} broker(s), seed {seed}: {dict(sorted(chaos.done.items()))}")
    print(
        f"  {len(acknowledged)} events acknowledged, {counted} counted, {_sum(senders, 'copies')} copies sent besides"
    )
    print(f"  {_sum(senders, 'refused')} batches refused and sent again; settled {settled - quiet:.0f} s after the end")
    print(f"  {time.monotonic() - began:.0f} s in all", flush=True)
    return chaos.done


def _sum(senders: Sequence[Sender], name: str) -> int:
    return sum(getattr(sender, name) for sender in senders)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_minute_of_chaos(tmp_path: Path) -> None:
    done = survive(tmp_path, seconds=40, seed=random.randrange(1000))
    assert len(done) == len(FAULTS)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_an_hour_of_chaos(tmp_path: Path) -> None:
    for run in range(6):
        assert len(survive(tmp_path / str(run), seconds=540, seed=run)) == len(FAULTS)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_chaos_with_three_brokers(tmp_path: Path) -> None:
    assert len(survive(tmp_path, seconds=300, seed=random.randrange(1000), brokers=3)) == len(FAULTS)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_lag_returns_to_zero_after_an_outage(tmp_path: Path) -> None:
    """A while without workers while the load goes on: how long until no more waits than what is on its way."""
    with running_cluster(tmp_path) as cluster:
        *workers, collect, api_role = cluster.together("work-1", "work-2", "collect", "api")
        api = Api(collect, api_role)
        with load(collect.url, RATE) as sent:
            began = time.monotonic()
            time.sleep(WARM_UP_SECONDS)
            before = _waiting_for(api, 10)
            for worker in workers:
                worker.kill()
            time.sleep(OUTAGE_SECONDS)
            waiting = _waiting(api)
            seconds = _recovered(api, workers)
            after = _waiting_for(api, 10)
            rate = sent() / (time.monotonic() - began)
        print(
            f"\n{waiting:,} records waited after {OUTAGE_SECONDS} s without workers at {rate:,.0f} events/s,"
            f" no more than {CAUGHT_UP:,} {seconds:.0f} s after their start"
            f"\n  once a second, before: {before}, then: {after}"
        )
        assert rate > 0.9 * RATE, "the load was less than wanted: the machine has other work"
        assert api.settled(120)["events"]["unique"] == sent()
        api.close()


def _recovered(api: Api, workers: Sequence[Role]) -> float:
    """Starts the workers, together, and prints what waits; seconds until nobody lags."""
    back = time.monotonic()
    with ThreadPoolExecutor(len(workers)) as starting:
        list(starting.map(Role.start, workers))
    while (now := _waiting(api)) > CAUGHT_UP:
        print(f"  {now:,} wait {time.monotonic() - back:.0f} s after the workers' start", flush=True)
        assert time.monotonic() - back < LONGEST_RECOVERY, "the lag does not go away while the load goes on"
        time.sleep(3)
    return time.monotonic() - back


def _waiting_for(api: Api, times: int) -> list[int]:
    """What waits, once a second."""
    found = []
    for _ in range(times):
        found.append(_waiting(api))
        time.sleep(1)
    return found


def _waiting(api: Api) -> int:
    """Records of the log that some stage has not passed; asked seldom, since the answer costs the broker requests."""
    status = eventually(lambda: api.get("/v1/status"), "the API does not say what waits")
    return sum(stage["lag_events"] for stage in status["projections"])


@contextmanager
def load(url: str, rate: int) -> Iterator[Callable[[], int]]:
    """Events at a fixed rate, as long as the block runs; yields how to ask for the number of those sent."""
    clients = [Client(url, rate / CONNECTIONS, f"l{number}-") for number in range(CONNECTIONS)]
    for client in clients:
        client.start()
    try:
        yield lambda: sum(client.sent for client in clients)
    finally:
        for client in clients:
            client.enough.set()
        for client in clients:
            client.join(60)


class Client(threading.Thread):
    """Batches of 100 events at a fixed rate over one connection, sent again under their ids until answered."""

    def __init__(self, url: str, rate: float, ids: str) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._rate = rate
        self._ids = ids
        self.sent = 0
        self.enough = threading.Event()

    def run(self) -> None:
        began = time.monotonic()
        with httpx.Client(auth=(WRITE_KEY, ""), timeout=30) as client:
            while not self.enough.is_set():
                self._insist(client, [self._message(self.sent + n) for n in range(100)])
                self.sent += 100
                self.enough.wait(max(0.0, self.sent / self._rate - (time.monotonic() - began)))

    def _message(self, n: int) -> dict[str, Any]:
        properties = {"order_id": f"{self._ids}{n}", "revenue": 1, "currency": "EUR"}
        message = {"type": "track", "event": "Order Completed", "userId": f"u{n % 5_000}"}
        return {**message, "messageId": f"{self._ids}{n}", "properties": properties}

    def _insist(self, client: httpx.Client, batch: list[dict[str, Any]]) -> None:
        while client.post(f"{self._url}/v1/batch", json={"batch": batch}).status_code != 200:
            self.enough.wait(0.1)
