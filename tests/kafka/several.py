"""Three brokers, each with its controller: any one of them may be away."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from deploy.kafka.broker import Broker, free_ports
from tests.kafka.fixtures import started

COUNT: Final = 3

_PROPERTIES: Final = """
node.id={number}
controller.quorum.voters={voters}
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
"""


@contextmanager
def running_brokers(folder: Path) -> Iterator[list[Broker]]:
    """Skips, or fails, as `running_broker` does."""
    ports = [free_ports(2) for _ in range(COUNT)]
    voters = ",".join(f"{number}@127.0.0.1:{controller}" for number, (_, controller) in enumerate(ports, 1))
    brokers = [
        Broker(folder / str(number), ports=its_ports, more=_PROPERTIES.format(number=number, voters=voters))
        for number, its_ports in enumerate(ports, 1)
    ]
    try:
        with ThreadPoolExecutor(COUNT) as starting:  # none says that it has started before two have met
            list(starting.map(started, brokers))
        yield brokers
    finally:
        with ThreadPoolExecutor(COUNT) as stopping:
            list(stopping.map(Broker.kill, brokers))


def bootstrap(brokers: list[Broker]) -> str:
    return ",".join(broker.bootstrap for broker in brokers)
