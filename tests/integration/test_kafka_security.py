"""TLS and SASL against a broker that insists on them: what `SIMORGH_KAFKA_SECURITY` says reaches every client."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from deploy.kafka.broker import Broker
from eventlog.kafka.client import ClientName, Connection
from eventlog.kafka.log import KafkaEventLog
from schemas import topics
from schemas.errors import Backpressure
from tests.cluster.harness import Api, Cluster, eventually
from tests.kafka.fixtures import CLIENTS, running_broker
from tests.kafka.secured import PASSWORD, Secured

MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("broker")]


@pytest.fixture(scope="module")
def broker(secured: Secured) -> Iterator[Broker]:
    with running_broker(secured.folder / "kafka", **secured.options) as broker:
        yield broker


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Secured:
    return Secured(tmp_path_factory.mktemp("secured"))


def works(connection: Connection, client: ClientName, prefix: str) -> None:
    """Publishes, reads, asks for ends, and stores positions: everything that goes over the wire."""
    with closing(KafkaEventLog(connection, prefix=prefix, partitions=2, client=client)) as log:
        [(partition, offset)] = log.append(topics.EVENTS, [(b"k", b"v")])
        assert [record.value for record in log.read(topics.EVENTS, partition, offset, 10)] == [b"v"]
        assert sum(log.ends(topics.EVENTS)) == 1
        log.commit("group", {topics.EVENTS: {partition: offset + 1}})
        assert sum(log.committed("group", topics.EVENTS)) == 1


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_password_over_tls(secured: Secured, client: ClientName, mechanism: str) -> None:
    works(Connection(secured.by_password, secured.password(mechanism)), client, f"{mechanism}.{client}.")


@pytest.mark.parametrize("client", CLIENTS)
def test_a_certificate_of_ones_own(secured: Secured, client: ClientName) -> None:
    works(Connection(secured.by_certificate, secured.certificate()), client, f"certificate.{client}.")


@pytest.mark.parametrize("client", CLIENTS)
def test_who_is_not_known_is_told_so_within_the_patience(secured: Secured, client: ClientName) -> None:
    """All at once: each of them waits for it."""
    others = {
        "sasl.password": "another",
        "ssl.ca.location": str(secured.folder / "other-ca.pem"),
        "security.protocol": "PLAINTEXT",
    }

    def refused(wrong: str) -> Backpressure:
        connection = Connection(secured.by_password, {**secured.password(), wrong: others[wrong]}, patience=3)
        with pytest.raises(Backpressure) as told:
            KafkaEventLog(connection, client=client)
        return told.value

    with ThreadPoolExecutor(len(others)) as threads:
        for told, wrong in zip(threads.map(refused, others), others.values(), strict=True):
            assert told.code == "log_unavailable"
            assert "SIMORGH_KAFKA_SECURITY" in told.message
            assert not {PASSWORD, wrong} & set(told.message.split())


def test_every_role_speaks_as_it_is_told(broker: Broker, secured: Secured, tmp_path: Path) -> None:
    """One worker shows a password, the other a certificate: Faust's own client, and the log's."""
    password = json.dumps(secured.password())
    cluster = Cluster(
        tmp_path,
        broker,
        SIMORGH_LOG=f"kafka://{secured.by_password}",
        SIMORGH_KAFKA_SECURITY=password,
    )
    other = {
        "SIMORGH_LOG": f"kafka://{secured.by_certificate}",
        "SIMORGH_KAFKA_SECURITY": json.dumps(secured.certificate()),
    }
    try:
        collect, served = cluster.together("collect", "api")
        workers = [cluster.role("work", "work-1"), cluster.role("work", "work-2", **other)]
        eventually(
            lambda: all(worker.metric("simorgh_partitions_owned", stage="events") for worker in workers),
            "a worker has no partition",
        )
        with closing(Api(collect, served)) as api:
            api.send(*({"type": "track", "userId": f"u{n}", "event": "Seen", "messageId": f"m{n}"} for n in range(40)))
            assert api.settled()["events"]["unique"] == 40
            assert api.profile("user_id:u7")["metrics"]["events"] == 1
    finally:
        cluster.close()
