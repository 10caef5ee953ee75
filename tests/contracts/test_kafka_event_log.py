"""The log on a real Kafka passes the contract of every log, with both client libraries."""

from collections.abc import Iterator

import pytest

from deploy.kafka.broker import Broker
from eventlog.kafka.client import ClientName
from tests.contracts.event_log import EventLogContract, Opener
from tests.kafka.fixtures import isolated_logs


class _OnKafka(EventLogContract):
    client: ClientName

    @pytest.fixture
    def open_log(self, kafka: Broker) -> Iterator[Opener]:
        with isolated_logs(kafka, client=self.client) as open_:
            yield open_


class TestKafkaPythonEventLog(_OnKafka):
    client = "kafka-python"


class TestConfluentEventLog(_OnKafka):
    client = "confluent"
