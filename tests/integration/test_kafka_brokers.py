"""Three brokers under load, of which one at a time dies, freezes or leaves: the others carry on and nothing is lost."""

import time
from collections.abc import Iterator
from typing import Final

import pytest

from deploy.kafka.broker import Broker
from eventlog.kafka.client import ClientName, Connection
from eventlog.kafka.log import KafkaEventLog
from schemas import topics
from tests.kafka.load import Load, check_acknowledged
from tests.kafka.several import bootstrap, running_brokers

FROZEN_SECONDS: Final = 6.0
"""Four times as long as a session of a broker: its partitions have other leaders by then."""
LONGEST_PAUSE: Final = 20.0
"""Seconds without any acknowledgement. A session and an election take some 3 on a quiet machine."""

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Broker]]:
    with running_brokers(tmp_path_factory.mktemp("brokers")) as brokers:
        yield brokers


@pytest.mark.parametrize("client", ["confluent", pytest.param("kafka-python", marks=pytest.mark.soak)])
def test_any_one_of_three_may_be_away(brokers: list[Broker], client: ClientName) -> None:
    def opened() -> KafkaEventLog:
        connection = Connection(bootstrap(brokers))
        return KafkaEventLog(
            connection, client=client, prefix=f"{client}.", partitions=6, replication=3, min_insync=2, queue_limit=2000
        )

    log = opened()
    load = Load(log)
    load.wait_for(50)
    killed, frozen, stopped = brokers
    killed.kill()
    load.wait_for(20, LONGEST_PAUSE)
    log.commit("group", {topics.EVENTS: {0: 5}})
    killed.start()
    load.wait_for(50)
    frozen.pause()
    time.sleep(FROZEN_SECONDS)
    load.wait_for(20, LONGEST_PAUSE)
    frozen.resume()
    load.wait_for(50)
    stopped.stop()
    load.wait_for(20, LONGEST_PAUSE)
    stopped.start()
    load.wait_for(50)
    load.end()
    log.close()
    fresh = opened()
    check_acknowledged(fresh, load)
    assert fresh.committed("group", topics.EVENTS)[0] == 5
    fresh.close()
