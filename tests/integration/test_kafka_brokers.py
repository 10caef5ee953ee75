"""Three brokers under load, of which one at a time dies, freezes or leaves: the others carry on and nothing is lost."""

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

import pytest
from kafka import KafkaAdminClient
from kafka.partitioner import murmur2

from deploy.kafka.broker import Broker
from eventlog.kafka.client import ClientName, Connection
from eventlog.kafka.log import KafkaEventLog
from schemas import topics
from tests.kafka.fixtures import CLIENTS
from tests.kafka.load import Load, check_acknowledged
from tests.kafka.several import bootstrap, running_brokers

FROZEN_SECONDS: Final = 8.0
"""Twice as long as a session of a broker: its partitions have other leaders by then."""
LONGEST_PAUSE: Final = 20.0
"""Seconds without any acknowledgement. A session and an election take some 6 on a quiet machine."""

pytestmark = [pytest.mark.timeout(600), pytest.mark.soak]  # three JVMs want more than two cores can give beside others


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Broker]]:
    with running_brokers(tmp_path_factory.mktemp("brokers")) as brokers:
        yield brokers


@pytest.mark.parametrize("client", CLIENTS)
def test_any_one_of_three_may_be_away(brokers: list[Broker], client: ClientName) -> None:
    def opened() -> KafkaEventLog:
        connection = Connection(bootstrap(brokers))
        return KafkaEventLog(
            connection, client=client, prefix=f"{client}.", partitions=6, replication=3, min_insync=2, queue_limit=2000
        )

    killed, frozen, stopped = brokers
    with closing(opened()) as log, Load(log) as load:
        load.wait_for(50)
        killed.kill()
        load.wait_for(20, LONGEST_PAUSE)
        log.commit("group", {topics.EVENTS: {0: 5}})
        killed.start()
        load.wait_for(50)
        frozen.pause()
        try:
            time.sleep(FROZEN_SECONDS)
            load.wait_for(20, LONGEST_PAUSE)
        finally:
            frozen.resume()
        load.wait_for(50)
        stopped.stop()
        load.wait_for(20, LONGEST_PAUSE)
        stopped.start()
        load.wait_for(50)
    with closing(opened()) as fresh:
        check_acknowledged(fresh, load)
        assert fresh.committed("group", topics.EVENTS)[0] == 5


@pytest.mark.parametrize("client", CLIENTS)
def test_a_frozen_broker_holds_up_nobody_elses_partitions(brokers: list[Broker], client: ClientName) -> None:
    connection = Connection(bootstrap(brokers))
    settings: dict[str, Any] = {"prefix": f"single.{client}.", "partitions": 6, "replication": 1, "min_insync": 1}
    with closing(KafkaEventLog(connection, client=client, **settings)) as log:
        leaders = _leaders(connection, f"single.{client}.{topics.EVENTS}")
        theirs, others = (_key(leaders, wanted) for wanted in ((2,), (1, 3)))
        log.append(topics.EVENTS, [(theirs, b""), (others, b"")])
        brokers[1].pause()
        try:
            stuck = log.submit([(topics.EVENTS, [(theirs, b"")])])
            for _ in range(5):
                log.submit([(topics.EVENTS, [(others, b"")])]).result(timeout=5)
            assert not stuck.done()
        finally:
            brokers[1].resume()
        assert len(stuck.result(timeout=60)[0]) == 1


def _leaders(connection: Connection, topic: str) -> dict[int, int]:
    """Partition -> number of the broker that leads it."""
    with KafkaAdminClient(bootstrap_servers=connection.bootstrap.split(",")) as admin:
        [described] = admin.describe_topics([topic])
    return {partition["partition_index"]: partition["leader_id"] for partition in described["partitions"]}


def _key(leaders: dict[int, int], wanted: tuple[int, ...]) -> bytes:
    """Of a message for a partition that one of these leads."""
    keys = (b"%d" % number for number in range(1_000))
    return next(key for key in keys if leaders[(murmur2(key) & 0x7FFFFFFF) % len(leaders)] in wanted)
