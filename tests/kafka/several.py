"""One broker, or three that each have a controller: any one of these may be away."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from deploy.kafka.broker import Broker, free_ports
from tests.kafka.fixtures import SHORT_LIVED, running_broker, started

_PROPERTIES: Final = """
node.id={number}
controller.quorum.voters={voters}
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
# Three controllers on a busy machine would else go on electing each other: 1 s, 2 s, and 1.5 s of `broker.PROPERTIES`.
controller.quorum.election.timeout.ms=2000
controller.quorum.fetch.timeout.ms=5000
broker.session.timeout.ms=4000
"""


@contextmanager
def running_brokers(folder: Path, count: int = 3) -> Iterator[list[Broker]]:
    """Skips, or fails, as `running_broker` does."""
    if count == 1:
        with running_broker(folder) as broker:
            yield [broker]
        return
    ports = [free_ports(2) for _ in range(count)]
    voters = ",".join(f"{number}@127.0.0.1:{controller}" for number, (_, controller) in enumerate(ports, 1))
    brokers = [
        Broker(
            folder / str(number),
            ports=its_ports,
            more=_PROPERTIES.format(number=number, voters=voters),
            java=SHORT_LIVED,
        )
        for number, its_ports in enumerate(ports, 1)
    ]
    try:
        with ThreadPoolExecutor(count) as starting:  # none says that it has started before two have met
            list(starting.map(started, brokers))
        yield brokers
    finally:
        with ThreadPoolExecutor(count) as stopping:
            list(stopping.map(Broker.kill, brokers))


def bootstrap(brokers: Sequence[Broker]) -> str:
    """`host:port,…` for clients."""
    return ",".join(broker.bootstrap for broker in brokers)
