"""The key store of a cluster, on a real broker, passes the contract of every key store; and what several processes may
rely on."""

import os
import time
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
from privacy.copy import LONGEST_AWAY_MS, KeysCopy
from privacy.keyring import Keyring
from privacy.store import LEASE, KeyStore
from privacy.topic import TopicKeys, identify, identity_of
from schemas.clock import system_clock
from schemas.errors import Backpressure, InvalidSettings
from tests.contracts.key_store import KeyStoreContract, key

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

    def alter(self, configs: dict[str, str]) -> None:
        with KafkaAdminClient(bootstrap_servers=self._connection.bootstrap) as admin:
            admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, self.name, configs=configs)])

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
        topics.alter(SOON)

    @contextmanager
    def open_store(self, folder: Path) -> Iterator[KeyStore]:
        store = self.topics.store(folder)
        try:
            yield store
        finally:
            store.close()

    def bytes_in(self, folder: Path) -> list[Path]:
        return [folder, *self.broker.folder.glob(f"data/{self.topics.name}-*")]


def test_what_one_process_stores_and_destroys_another_knows(topics: Topics, tmp_path: Path) -> None:
    one, other = topics.store(tmp_path), topics.store(tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*.sqlite")) == ["keys-0.sqlite", "keys-1.sqlite"]
    keys, others = Keyring(one, SECRET), Keyring(other, SECRET)
    key = keys.key_of(1)
    for storing in keys.storing():
        storing.result(30)
    assert [found.id for found in others.find_all({1: [key.id]})[1]] == [key.id]
    assert keys.destroy([1]) == 1
    assert not keys.is_known()
    deadline = time.monotonic() + 30
    while others.find([1]):
        assert time.monotonic() < deadline, "the other process still opens with it"
        time.sleep(0.05)
    assert not others.find_all({1: [key.id]})


def test_two_that_draw_at_once_read_each_other(topics: Topics, tmp_path: Path) -> None:
    keyrings = [Keyring(topics.store(tmp_path), SECRET) for _ in range(2)]
    drawn = [keyring.key_of(1) for keyring in keyrings]
    assert drawn[0].id != drawn[1].id
    for keyring in keyrings:
        for storing in keyring.storing():
            storing.result(30)
    for keyring in keyrings:
        assert {key.id for key in keyring.find_all({1: [key.id for key in drawn]})[1]} == {key.id for key in drawn}
    assert keyrings[0].destroy([1]) == 2


class Severed:
    """A topic that can be cut off."""

    def __init__(self, topic: CompactedTopic) -> None:
        self._topic = topic
        self.cut = False
        self.submit, self.read, self.close = topic.submit, topic.read, topic.close

    def end(self) -> int:
        if self.cut:
            raise Backpressure("Kafka: wanted an answer, got none; offer the same again later", code="log_unavailable")
        return self._topic.end()


def test_who_cannot_read_on_opens_nothing_after_the_lease(topics: Topics, tmp_path: Path) -> None:
    severed, passed = Severed(topics.open()), [0.0]
    copy = KeysCopy(tmp_path, topics.name, system_clock())
    store = TopicKeys(severed, copy, system_clock, monotonic=lambda: time.monotonic() + passed[0])
    keyring = Keyring(store, SECRET)
    keyring.key_of(1)
    for storing in keyring.storing():
        storing.result(30)
    assert keyring.find([1])
    severed.cut = True
    passed[0] = LEASE + 1
    with pytest.raises(Backpressure):
        keyring.find([1])
    with pytest.raises(Backpressure):
        keyring.ready()
    severed.cut = False
    assert keyring.find([1])
    store.close()


def test_a_copy_that_may_be_wrong_is_made_anew(topics: Topics, tmp_path: Path) -> None:
    now = system_clock()
    store = topics.store(tmp_path)
    store.add([key(1)]).result(30)
    store.level()
    store.close()
    path = tmp_path / "keys-0.sqlite"
    copy = KeysCopy(tmp_path, topics.name, now)
    assert (copy.position > 0, dict(copy.of([1]))) == (True, {1: [key(1)]})
    copy.close()
    copy = KeysCopy(tmp_path, topics.name, now + LONGEST_AWAY_MS + 60_001)
    assert (copy.position, copy.of([1])) == (0, {})
    copy.close()
    store = topics.store(tmp_path)
    assert store.of([1]) == {1: [key(1)]}
    store.close()
    copy = KeysCopy(tmp_path, "another topic", now)
    assert (copy.position, copy.of([1])) == (0, {})
    copy.close()
    path.write_bytes(os.urandom(50_000))
    store = topics.store(tmp_path)
    assert store.of([1]) == {1: [key(1)]}


def test_a_topic_says_which_store_it_is_and_anything_else_in_it_is_ignored(topics: Topics, tmp_path: Path) -> None:
    topic = topics.open()
    assert identity_of(topic) == ""
    topic.submit([(b"something else", b"x"), (b"k" * 24, b"\xff")]).result()
    identify(topic, "one")
    assert identity_of(topic) == "one"
    topic.close()
    assert topics.store(tmp_path).of([1]) == {}


def test_a_topic_that_would_keep_what_is_destroyed_is_refused(kafka: Broker, topics: Topics) -> None:
    topics.alter({"cleanup.policy": "delete"})
    with pytest.raises(InvalidSettings, match=r"wanted cleanup\.policy=compact"):
        topics.open()
