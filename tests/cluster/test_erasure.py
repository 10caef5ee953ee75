"""Somebody is forgotten on a cluster of real processes, under load, while a worker is killed: nothing of them is left
in the segments of any topic nor in the tables, and a replay brings nothing back."""

import json
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import clickhouse_connect
import httpx
import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from eventlog.kafka.admin import Admin
from eventlog.kafka.client import Connection
from eventlog.kafka.compacted import CompactedTopic
from schemas import topics
from tests.cluster.clients import Sender
from tests.cluster.harness import Api, Cluster, Role, eventually, opened_log, running_cluster
from tests.e2e.command_line import program
from tests.e2e.harness import WRITE_KEY
from tests.e2e.test_erasure import CANARY, KEY, files_of, files_with, forms_of, of_the_person
from tests.webhook_receiver import Receiver, receiving
from warehouse import forgetting

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]

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


def clean_soon(cluster: Cluster) -> None:
    """The engine's cleaner sleeps for up to five minutes: from its next look on, for a second."""
    client = clickhouse_connect.get_client(dsn=cluster.bridge.url)
    for table in forgetting.TABLES:
        client.command(f"ALTER TABLE default_g1.{table} MODIFY SETTING {forgetting.SOON}")
    client.close()


def keys_in(cluster: Cluster) -> dict[bytes, bytes]:
    """The keys that the topic yields to whoever reads it from its beginning."""
    found: dict[bytes, bytes] = {}
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
    tables = client.query(
        "SELECT database || '.' || table, groupArray(name) FROM system.columns"
        " WHERE database LIKE 'default_g%' AND type LIKE '%String%' GROUP BY 1"
    ).result_rows
    found = []
    for table, columns in tables:
        counts = [f"countIf(positionCaseInsensitive(toString({name}), '{text}') > 0)" for name in columns]
        [row] = client.query(f"SELECT {', '.join(counts)} FROM {table}").result_rows
        found += [f"{table}.{name}" for name, count in zip(columns, row, strict=True) if count]
    client.close()
    return found


class Steady(Sender):
    """Some hundred messages a second: the test is not about speed."""

    def run(self) -> None:
        with httpx.Client(base_url=self._url, auth=(WRITE_KEY, ""), timeout=10) as client:
            while not self.enough.wait(0.5):
                self._send_window(client)


class Forgetting(threading.Thread):
    """Asks to forget the person; the answer comes when that is done, or takes too long."""

    def __init__(self, api: Api) -> None:
        super().__init__(daemon=True)
        self._http = httpx.Client(base_url=api.http.base_url, headers=api.http.headers, timeout=120)
        self.request: dict[str, Any] = {}

    def run(self) -> None:
        answer = self._http.request("DELETE", f"/v1/profiles/{KEY}", json={"reason": "ticket 4711"})
        self.request = answer.json()
        self._http.close()


def refused(collect: Role, *messages: dict[str, Any]) -> set[str]:
    """The codes of what a collector refuses of these messages."""
    answer = httpx.post(f"{collect.url}/v1/batch", json={"batch": messages}, auth=(WRITE_KEY, ""), timeout=60)
    return {one["code"] for one in answer.json()["rejected"]}


def declare(api: Api, hook: str) -> None:
    api.post("/v1/segments", {"id": "buyers", "rule": {"event": "order.completed", "count": {"gte": 1}}})
    webhook = {"url": hook, "secret": "whsec_" + "c2VjcmV0" * 4}
    api.post("/v1/triggers", {"id": "t", "segment": "buyers", "on": ["entered", "exited"], "webhook": webhook})


def known(api: Api, receiver: Receiver) -> Any:
    """The view of the person, once everything that was sent is in it and somebody was told."""
    view = api.profile(KEY)
    kept = [one for one in api.get("/v1/rejected")["items"] if CANARY in json.dumps(one)]
    told = [call for call in receiver.calls if view["profile_id"].encode() in call.body]
    return view if view["metrics"]["orders"] == 2 and kept and told else None


def states(api: Api) -> list[str]:
    """Of all requests, the first one first."""
    return [request["state"] for request in reversed(api.get("/v1/privacy/requests")["items"])]


def test_nothing_of_whoever_was_forgotten_is_left_on_a_cluster(cluster: Cluster, receiver: Receiver) -> None:
    compact_soon(cluster)
    collect, other, api_role = cluster.together("collect-1", "collect-2", "api")
    clean_soon(cluster)
    dying = cluster.role("work", "work-1", SIMORGH_CRASH_AT="keys destroyed:1")
    with closing(Api(collect, api_role)) as api, closing(Api(other, api_role)) as beside:
        declare(api, receiver.url)
        sender = Steady(collect.url, 1, 4711)
        sender.start()
        api.send(*of_the_person())
        beside.send(*of_the_person())
        view = eventually(lambda: known(api, receiver), "the person is not known")
        assert view["traits"]["name"] == CANARY
        assert not values_with(cluster, CANARY), "the log is sealed"
        assert rows_with(cluster, CANARY), "else the search would find nothing whatever there is"
        keys = keys_in(cluster)
        assert found_in(cluster, keys.values()) == set(keys.values()), "in the topic, and in the copies"

        asking = Forgetting(api)
        asking.start()
        assert dying.wait(60) == -signal.SIGKILL
        cluster.together("work-2", "work-3")
        asking.join(120)
        eventually(lambda: "requested" not in states(api), "it can still be read")
        assert asking.request["identities"] in (0, len(view["identities"]))
        for key in (KEY, view["profile_id"]):
            assert api.http.get(f"/v1/profiles/{key}").status_code == 404
        for each in (collect, other):
            assert refused(each, *of_the_person(1)) == {"suppressed"}
        assert CANARY not in json.dumps(api.get("/v1/rejected", limit=200))
        assert api.http.request("DELETE", "/v1/profiles/user_id:u7", json={"reason": "ticket 4712"}).status_code == 202
        eventually(lambda: "requested" not in states(api), "the second waits for the first")
        eventually(lambda: states(api)[0] == "destroyed", "the bytes are still there")
        sender.enough.set()
        sender.join(60)
        api.settled()
        check_told(receiver, view["profile_id"])
        destroyed = {key: value for key, value in keys.items() if key not in keys_in(cluster)}
        assert len(destroyed) >= len(view["identities"])
        check_gone(cluster, destroyed)

        before = [{**api.profile(f"user_id:u{n}"), "freshness": None} for n in range(5)]
        api.post("/v1/replay", None)
        eventually(lambda: api.get("/v1/replay").get("generation") == 2, "it is not replayed")
        api.settled()
        assert api.http.get(f"/v1/profiles/{KEY}").status_code == 404
        assert [{**api.profile(f"user_id:u{n}"), "freshness": None} for n in range(5)] == before
        check_gone(cluster, destroyed)


def test_a_purge_compacts_the_keys_at_once_and_leaves_the_topic_as_it_was(cluster: Cluster, tmp_path: Path) -> None:
    collect, api_role, _ = cluster.together("collect-9", "api-9", "work-9")
    kafka = {name: value for name, value in cluster.environment.items() if name != "SIMORGH_LOG_LEVEL"}
    named = {**kafka, "SIMORGH_API": api_role.url, "SIMORGH_COLLECTOR": collect.url}
    relaxed = {"segment.ms": "86400000", "max.compaction.lag.ms": "86400000", "min.cleanable.dirty.ratio": "0.5"}
    with closing(Admin(Connection(cluster.brokers[0].bootstrap))) as admin, closing(Api(collect, api_role)) as api:
        admin.alter(topics.KEYS, relaxed)
        api.send(*({"type": "identify", "userId": f"p{n}", "traits": {"city": "Shiraz"}} for n in range(3)))
        api.settled()
        clean_soon(cluster)
        keys = keys_in(cluster)
        for round_ in (1, 2):  # once more, on the same cluster
            erased = ("privacy", "erase", f"user_id:p{round_}", "--reason", "ticket", "--yes", "--json")
            assert json.loads(program(*erased, cwd=tmp_path, **named).answer())["state"] != "destroyed"
            assert "waiting: 0" in program("privacy", "purge", "--seconds", "240", cwd=tmp_path, **named).answer()
            assert admin.settings(topics.KEYS, SOON) == relaxed, "as the operator had set it"
            assert states(api)[-1] == states(api)[0] == "destroyed"
            left = keys_in(cluster)
            gone = {key: value for key, value in keys.items() if key not in left}
            assert gone
            assert not found_in(cluster, gone.values())
            keys = left
        assert api.profile("user_id:p0")["traits"] == {"city": "Shiraz"}
        doctor = program("doctor", cwd=tmp_path, **named)
        assert f"ok  data keys: in the topic {topics.KEYS}" in doctor.out
        assert "bad erasures" not in doctor.out
        assert (
            program("privacy", "purge", "--seconds", "0", cwd=tmp_path, **named).answer()
            == "destroyed: 2, waiting: 0\n"
        )


def check_told(receiver: Receiver, profile: str) -> None:
    """Other systems learn that they are to forget the profile, and nothing else of it."""
    told = [json.loads(call.body) for call in receiver.calls if profile.encode() in call.body]
    exits = [one["data"] for one in told if one["type"] == "segment.exited"]
    assert [(one["cause"], one["identities"]) for one in exits] == [("erased", [])]


def check_gone(cluster: Cluster, destroyed: dict[bytes, bytes]) -> None:
    """Neither the person nor their keys are in any file, of whichever process, nor in a column."""
    assert not rows_with(cluster, CANARY)
    assert not values_with(cluster, CANARY)
    assert not files_with(cluster.folder, CANARY)
    assert not found_in(cluster, destroyed.values())


def found_in(cluster: Cluster, keys: Iterable[bytes]) -> set[bytes]:
    """Those of the wrapped keys that are in any file. They are random, so no compression changes them."""
    contents = [content for path, content in files_of(cluster.folder) if "clickhouse" not in path.parts]
    return {key for key in keys if any(key[13:45] in content for content in contents)}
