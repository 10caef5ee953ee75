"""The log on a real Kafka passes the contract of every log, with both client libraries."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings

from deploy.kafka.broker import Broker
from eventlog.kafka.client import ClientName
from tests.contracts.event_log import CALLS, QUIETLY, Call, EventLogContract, Opener
from tests.effort import examples
from tests.kafka.fixtures import isolated_logs


class _OnKafka(EventLogContract):
    client: ClientName

    @pytest.fixture
    def open_log(self, kafka: Broker) -> Iterator[Opener]:
        with isolated_logs(kafka, client=self.client) as open_:
            yield open_

    @settings(max_examples=examples(4), **QUIETLY)
    @given(calls=CALLS)
    def test_any_sequence_of_calls_acts_like_lists(self, open_log: Opener, calls: list[Call]) -> None:
        """Fewer than on an embedded log: each example opens the log several times, at half a second each."""
        self.acts_like_lists(open_log, calls)


class TestKafkaPythonEventLog(_OnKafka):
    client = "kafka-python"


class TestConfluentEventLog(_OnKafka):
    client = "confluent"
