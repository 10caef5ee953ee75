"""Somebody is forgotten on a cluster of real processes, under load, while a worker is killed: nothing of them is left in
the segments of any topic nor in the tables, and a replay brings nothing back."""

from collections.abc import Iterator
from contextlib import closing

import clickhouse_connect
import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from eventlog.kafka.client import Connection
from eventlog.kafka.compacted import CompactedTopic
from schemas import topics
from tests.cluster.harness import Api, Cluster, opened_log, running_cluster
from tests.e2e.test_erasure import CANARY, KEY, forms_of, of_the_person
from tests.webhook_receiver import Receiver, receiving

pytestmark = pytest.mark.timeout(300)

SOON = {"segment.ms": "1000", "max.compaction.lag.ms": "1000", "min.cleanable.dirty.ratio": "0.01"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("erasure"), SIMORGH_LOG_LEVEL="INFO") as made:
        yield made


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


def keys_topic(cluster: Cluster) -> CompactedTopic:
    return CompactedTopic(Connection(cluster.brokers[0].bootstrap), topics.KEYS)


def compact_soon(cluster: Cluster) -> None:
    """The operators' setting: the tests cannot wait for six hours."""
    keys_topic(cluster).close()
    with KafkaAdminClient(bootstrap_servers=cluster.brokers[0].bootstrap) as admin:
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topics.KEYS, configs=SOON)])


def keys_in(cluster: Cluster) -> dict[bytes, bytes]:
    """The keys that the topic yields to whoever reads it from its beginning."""
    found = {}
    with closing(keys_topic(cluster)) as topic:
        end, position = topic.end(), 0
        while records := topic.read(position, 1_000, end):
            found |= {record.key: record.value for record in records if len(record.key) == 24 and record.value}
            position = records[-1].offset + 1
    return found


def values_with(cluster: Cluster, text: str) -> set[str]:
    """The topics of the log with a record that holds the text, as anybody reads them who has no keys."""
    found = set()
    with opened_log(cluster) as log:
        for topic in topics.ALL:
            for partition, end in enumerate(log.ends(topic)):
                values = [record.key + record.value for record in log.read(topic, partition, 0, end)]
                if any(form in value for form in forms_of(text) for value in values):
                    found.add(topic)
    return found


def rows_with(cluster: Cluster, text: str) -> list[str]:
    """The columns of the tables that hold the text, in rows that are deleted, too."""
    client = clickhouse_connect.get_client(dsn=cluster.bridge.url)
    columns = client.query(
        "SELECT database, table, name FROM system.columns WHERE database LIKE 'default_g%' AND type LIKE '%String%'"
    ).result_rows
    found = [
        f"{database}.{table}.{name}"
        for database, table, name in columns
        if client.query(
            f"SELECT count() FROM {database}.{table} WHERE positionCaseInsensitive(toString({name}), '{text}')"
        ).result_rows[0][0]
    ]
    client.close()
    return found


def test_a_cluster_seals_and_opens(cluster: Cluster) -> None:
    compact_soon(cluster)
    work, collect, api_role = cluster.together("work-1", "collect", "api")
    with closing(Api(collect, api_role)) as api:
        api.send(*of_the_person())
        api.settled()
        assert api.profile(KEY)["traits"]["name"] == CANARY
        assert api.get("/v1/rejected")["items"]
        assert not values_with(cluster, CANARY)
        assert rows_with(cluster, CANARY)
    for role in (work, collect, api_role):
        role.stop()
