"""The log on a real Kafka: what its contract does not say, and what becomes of it when the broker is killed."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Final

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.partitioner import murmur2

from deploy.kafka.broker import Broker
from eventlog.about import FORMAT, read_about
from eventlog.kafka.client import SECURITY, ClientName, Connection
from eventlog.kafka.log import KafkaEventLog
from eventlog.port import Message, Position
from schemas import topics
from schemas.errors import Backpressure, Conflict, InvalidInput, InvalidSettings
from tests.contracts.event_log import numbered
from tests.e2e.harness import wait_for
from tests.kafka.fixtures import CLIENTS, isolated_logs, running_broker
from tests.kafka.load import Load, check_acknowledged

Open = Callable[..., KafkaEventLog]

both_clients = pytest.mark.parametrize("client", CLIENTS)


@pytest.fixture
def open_log(kafka: Broker) -> Iterator[Open]:
    with isolated_logs(kafka, partitions=4) as open_:
        yield open_


def real_name(log: KafkaEventLog, topic: str) -> str:
    return log._names[topic]


def set_behind_the_logs_back(kafka: Broker, topic: str, setting: str, value: str) -> None:
    """Change a topic's setting and return once the broker shows it, which is a moment after it took the change."""
    resource = ConfigResource(ConfigResourceType.TOPIC, topic)
    with KafkaAdminClient(bootstrap_servers=kafka.bootstrap) as admin:
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {setting: value})])
        for _ in range(600):
            found = admin.describe_configs([resource], config_filter="all")["topic"][topic]
            if found[setting]["value"] == value:
                return
            threading.Event().wait(0.05)
    raise AssertionError(f"the broker did not show {setting}={value} within 30 s")


def offered_again(log: KafkaEventLog, topic: str, messages: list[Message]) -> list[Position]:
    """Append as a producer does that was told `Backpressure`: pause, then offer the same again."""
    for _ in range(600):
        try:
            return log.append(topic, messages)
        except Backpressure:
            threading.Event().wait(0.05)
    raise AssertionError("the log took nothing for 30 s")


# --- what lies on the broker


@both_clients
def test_headers_follow_the_cloudevents_binding(kafka: Broker, open_log: Open, client: ClientName) -> None:
    log = open_log(client=client)
    log.append(topics.REGISTRY, [(b"k", b"{}")])
    [(partition, _)] = log.append(topics.EVENTS, [(b"k", b"{}")])
    found = {}
    with KafkaConsumer(bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest") as consumer:
        for topic, number in ((topics.EVENTS, partition), (topics.REGISTRY, 0)):
            consumer.assign([TopicPartition(real_name(log, topic), number)])
            consumer.seek_to_beginning()
            [[record]] = consumer.poll(10_000).values()
            found[topic] = record.headers
    assert found[topics.EVENTS] == [("content-type", b"application/cloudevents+json; charset=UTF-8")]
    assert found[topics.REGISTRY] == [("content-type", b"application/json; charset=UTF-8")]


# What Java's client computes (UtilsTest of Apache Kafka), as the sign-extended number.
JAVA: Final = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
}


def test_copies_meet_whichever_client_published_them(open_log: Open) -> None:
    """librdkafka's own default would put them elsewhere than kafka-python and Java do."""
    assert {key: murmur2(key) - (murmur2(key) >> 31 << 32) for key in JAVA} == JAVA
    keys = [*JAVA, b"", b"\x00", "سیمرغ".encode(), *(f"{n:036d}".encode() for n in range(200))]
    messages = [(key, b"v") for key in keys]
    homes = [[p for p, _ in open_log(client=client).append(topics.EVENTS, messages)] for client in CLIENTS]
    assert homes[0] == homes[1] == [(murmur2(key) & 0x7FFFFFFF) % 4 for key in keys]


def test_topics_keep_everything_and_know_their_settings(kafka: Broker, open_log: Open) -> None:
    log = open_log(replication=1, min_insync=1)
    assert len(log.ends(topics.EVENTS)) == 4
    assert {topic for topic in topics.ALL if len(log.ends(topic)) == 1} == topics.SINGLE_PARTITION
    assert open_log(partitions=9).ends(topics.EVENTS) == [0] * 4  # made once, never changed


def test_a_topic_that_would_forget_is_refused(kafka: Broker, open_log: Open) -> None:
    log = open_log()
    set_behind_the_logs_back(kafka, real_name(log, topics.IDENTITY), "retention.ms", "604800000")
    with pytest.raises(InvalidSettings, match=r"retention\.ms=-1") as raised:
        open_log()
    assert raised.value.code == "topic_forgets"


def test_a_log_says_its_format(open_log: Open) -> None:
    assert read_about(open_log())["format"] == str(FORMAT)
    assert [r.key for r in open_log().read(topics.ABOUT, 0, 0, 10)] == [b"format"]


def test_a_log_that_was_made_before_formats_is_refused(kafka: Broker, open_log: Open) -> None:
    log = open_log()
    log.append(topics.REGISTRY, [(b"k", b"{}")])
    with KafkaAdminClient(bootstrap_servers=kafka.bootstrap) as admin:
        admin.delete_topics([real_name(log, topics.ABOUT)])
    for _ in range(2):  # the first look makes the topic; the second one finds it
        with pytest.raises(InvalidSettings, match=rf"wanted format {FORMAT}, got format 1; an older release"):
            open_log()


def test_a_log_of_a_newer_format_is_refused_by_an_older_release(open_log: Open) -> None:
    open_log().append(topics.ABOUT, [(b"format", str(FORMAT + 1).encode())])
    with pytest.raises(InvalidSettings, match=rf"got format {FORMAT + 1}; a newer release wrote it"):
        open_log()


@both_clients
def test_a_reader_that_nobody_asks_is_let_go(open_log: Open, client: ClientName) -> None:
    """Else each partition that was ever read costs the broker twenty requests a second, until the log is closed."""
    log = open_log(client=client)
    log.append(topics.REGISTRY, [(b"k", b"1")])
    assert len(log.read(topics.REGISTRY, 0, 0, 9)) == 1
    readers = log._readers
    readers.let_go()
    assert sum(map(len, readers._idle.values())) > 0  # it was used just now
    readers.let_go(idle=0)
    assert sum(map(len, readers._idle.values())) == 0
    log.append(topics.REGISTRY, [(b"k", b"2")])
    assert [r.value for r in log.read(topics.REGISTRY, 0, 0, 9)] == [b"1", b"2"]


def test_more_replicas_than_brokers_are_refused(kafka: Broker) -> None:
    with pytest.raises(InvalidSettings, match="SIMORGH_KAFKA_REPLICATION"):
        KafkaEventLog(Connection(kafka.bootstrap), prefix="replicas.", replication=3)


def test_only_security_settings_pass_through() -> None:
    passwords = Connection("127.0.0.1:9", dict.fromkeys(SECURITY, "s3cret"))
    assert "s3cret" not in repr(passwords)
    with pytest.raises(InvalidSettings, match="got acks"):
        Connection("127.0.0.1:9", {"acks": "0"})


# --- sizes and errors


@both_clients
def test_a_message_that_is_too_large_is_refused_before_anything_is_sent(open_log: Open, client: ClientName) -> None:
    log = open_log(client=client)
    with pytest.raises(InvalidInput) as raised:
        log.append(topics.EVENTS, [*numbered(3), (b"k", b"x" * (log.connection.largest + 1))])
    assert raised.value.code == "too_large"
    assert sum(log.ends(topics.EVENTS)) == 0
    [position] = log.append(topics.EVENTS, [(b"k", b"\x00\xff" * (log.connection.largest // 2))])
    assert len(log.read(topics.EVENTS, *position, 1)[0].value) == log.connection.largest


@both_clients
def test_what_the_broker_refuses_fails_that_submit_only(kafka: Broker, open_log: Open, client: ClientName) -> None:
    """The topic is set to smaller messages behind the log's back."""
    log = open_log(client=client)
    set_behind_the_logs_back(kafka, real_name(log, topics.REJECTED), "max.message.bytes", "1000")
    noise = random.Random(1).randbytes(20_000)  # does not compress
    with pytest.raises(InvalidInput) as raised:
        offered_again(log, topics.REJECTED, [(b"k", noise)])
    assert raised.value.code == "too_large"
    assert len(offered_again(log, topics.REJECTED, numbered(3))) == 3
    assert len(offered_again(log, topics.EVENTS, numbered(3))) == 3


def test_no_broker_is_said_so_in_time() -> None:
    with pytest.raises(Backpressure) as raised:
        KafkaEventLog(Connection("127.0.0.1:9", patience=1.0))
    assert raised.value.code == "log_unavailable"


def test_who_sends_much_does_not_put_others_out_of_order(open_log: Open) -> None:
    """What is handed over takes longer than the longest wave; meanwhile another thread goes on."""
    log = open_log(client="confluent", queue_limit=10_000_000)
    much = [(b"b", b"")] * 60_000
    others = [threading.Thread(target=log.submit, args=([(topics.REGISTRY, much)],)) for _ in range(3)]
    futures: list[Future[list[list[Position]]]] = []
    for other in others:
        other.start()
    while any(other.is_alive() for other in others) or len(futures) < 50:
        futures.append(log.submit([(topics.REGISTRY, [(b"a", b"")])]))
        threading.Event().wait(0.02)
    offsets = [future.result(timeout=60)[0][0][1] for future in futures]
    assert offsets == sorted(offsets)


# --- readers


@both_clients
def test_readers_at_different_places_do_not_disturb_each_other(open_log: Open, client: ClientName) -> None:
    log = open_log(client=client)
    log.append(topics.REGISTRY, numbered(500))
    wrong: list[object] = []

    def follow(step: int) -> None:
        seen = [r.offset for start in range(0, 500, step) for r in log.read(topics.REGISTRY, 0, start, step)]
        if seen != list(range(500)):
            wrong.append(seen)

    threads = [threading.Thread(target=follow, args=(step,)) for step in (50, 100, 125, 250, 500)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong


# --- a broker that dies


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker of this file, which its tests kill and start again."""
    with running_broker(tmp_path_factory.mktemp("mortal")) as broker:
        yield broker


@pytest.mark.timeout(900)  # half a minute on an idle machine
@pytest.mark.parametrize("client", [CLIENTS[0], pytest.param(CLIENTS[1], marks=pytest.mark.soak)])
def test_what_was_acknowledged_outlives_a_killed_broker(mortal: Broker, client: ClientName) -> None:
    """Killed and started again under load, twice: once within the log's patience, once beyond it. Positions stay."""

    def opened(patience: float) -> KafkaEventLog:
        connection = Connection(mortal.bootstrap, patience=patience)
        return KafkaEventLog(connection, client=client, prefix=f"{client}.", queue_limit=2000)

    with closing(opened(60)) as patient, closing(opened(8)) as log, Load(log) as load:
        load.wait_for(50)
        patient.commit("a", {topics.EVENTS: {0: 5, 1: 7}, topics.REGISTRY: {0: 3}})
        mortal.kill()
        mortal.start()
        load.wait_for(50)
        assert patient.committed("a", topics.EVENTS) == [5, 7]
        patient.commit("a", {topics.EVENTS: {1: 2}})
        mortal.kill()
        with pytest.raises(Backpressure) as raised:
            log.append(topics.REGISTRY, numbered(1))  # blocks for the patience, and no longer
        assert raised.value.code in ("log_unavailable", "backpressure")
        with pytest.raises(Backpressure):
            log.ends(topics.EVENTS)
        assert log.wait(topics.REGISTRY, [0], 0.2) is False
        mortal.start()
        load.wait_for(50)
        assert patient.committed("a", topics.EVENTS) == [5, 2]
    with closing(opened(60)) as fresh:
        check_acknowledged(fresh, load)


def test_closing_does_not_wait_for_who_connects(mortal: Broker) -> None:
    with closing(KafkaEventLog(Connection(mortal.bootstrap))) as log, ThreadPoolExecutor(1) as thread:
        log._admin._drop(log._admin._client)
        mortal.pause()
        try:
            asked = thread.submit(log.committed, "a", topics.EVENTS)
            wait_for(log._admin._lock.locked, "nobody connects")
            began = time.monotonic()
            log.close()
            took = time.monotonic() - began
        finally:
            mortal.resume()
        with pytest.raises(Conflict):
            asked.result()
    assert took < 10  # to connect takes up to 20 s
