"""The key store of a cluster, on a real broker, passes the contract of every key store; and what several processes may
rely on."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from deploy.kafka.broker import Broker
from eventlog.kafka.client import ClientName, Connection
from eventlog.kafka.compacted import CompactedTopic
from privacy.copy import KeysCopy
from privacy.store import KeyStore
from privacy.topic import TopicKeys
from schemas.clock import system_clock
from tests.contracts.key_store import KeyStoreContract

SECRET = b"sixteen bytes ok"
SOON = {"segment.ms": "500", "max.compaction.lag.ms": "500", "min.cleanable.dirty.ratio": "0.01"}
"""Settings of a topic that is compacted at once."""


class Topics:
    """Opens the same topic again and again, and stores over it."""

    def __init__(self, broker: Broker, client: ClientName) -> None:
        self.name = f"t{uuid4().hex[:12]}.simorgh.keys"
        self._connection = Connection(broker.bootstrap)
        self._client: ClientName = client
        self.cleanup = ExitStack()
        self.open().close()

    def open(self) -> CompactedTopic:
        return CompactedTopic(self._connection, self.name, client=self._client)

    def store(self, folder: Path, clock: Callable[[], int] = system_clock) -> TopicKeys:
        made = TopicKeys(self.open(), KeysCopy(folder, self.name, clock()), clock, beat=1.0)
        self.cleanup.callback(made.close)
        return made

    def compact_soon(self) -> None:
        with KafkaAdminClient(bootstrap_servers=self._connection.bootstrap) as admin:
            admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, self.name, configs=SOON)])

    def close(self) -> None:
        self.cleanup.close()
        with KafkaAdminClient(bootstrap_servers=self._connection.bootstrap) as admin:
            admin.delete_topics([self.name])


@pytest.fixture(params=["kafka-python", "confluent"])
def topics(kafka: Broker, request: pytest.FixtureRequest) -> Iterator[Topics]:
    made = Topics(kafka, request.param)
    yield made
    made.close()


class TestTopicKeys(KeyStoreContract):
    @pytest.fixture(autouse=True)
    def _on(self, kafka: Broker, topics: Topics) -> None:
        self.broker, self.topics = kafka, topics
        topics.compact_soon()

    @contextmanager
    def open_store(self, folder: Path) -> Iterator[KeyStore]:
        store = self.topics.store(folder)
        try:
            yield store
        finally:
            store.close()

    def bytes_in(self, folder: Path) -> list[Path]:
        return [folder, *self.broker.folder.glob(f"data/{self.topics.name}-*")]
