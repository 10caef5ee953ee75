"""A broker for the whole run, and logs on it with topics of their own. `tests/conftest.py` has the fixture."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest
from kafka import KafkaAdminClient

from deploy.kafka.broker import Broker
from deploy.kafka.fetch import Unavailable
from eventlog.kafka.client import ClientName, Connection
from eventlog.kafka.log import KafkaEventLog
from schemas import topics

CLIENTS: Final[tuple[ClientName, ...]] = ("kafka-python", "confluent")
SHORT_LIVED: Final = ("-XX:TieredStopAtLevel=1",)
"""Options of Java for a broker that lives for minutes: compiling less, it starts with half the work."""


@contextmanager
def running_broker(folder: Path, **options: Any) -> Iterator[Broker]:
    """Skips the test where Java or Maven is missing; fails instead when SIMORGH_REQUIRE_KAFKA is set."""
    broker = started(Broker(folder, java=SHORT_LIVED, **options))
    try:
        yield broker
    finally:
        broker.kill()  # nobody reads its data again


def started(broker: Broker) -> Broker:
    """Skips or fails as `running_broker`."""
    try:
        return broker.start()
    except Unavailable as reason:
        if os.environ.get("SIMORGH_REQUIRE_KAFKA"):
            pytest.fail(f"SIMORGH_REQUIRE_KAFKA is set, but: {reason}")
        pytest.skip(f"NOT TESTED ON KAFKA: {reason}")


@contextmanager
def isolated_logs(broker: Broker, **settings: Any) -> Iterator[Callable[..., KafkaEventLog]]:
    """Opens the same log again and again, on topics that no other test has; they are deleted at the end."""
    prefix = f"t{uuid4().hex[:12]}."
    connection = Connection(broker.bootstrap, patience=settings.pop("patience", 20.0))
    with ExitStack() as cleanup:
        cleanup.callback(_delete, broker, [prefix + topic for topic in topics.ALL])

        def open_(**more: Any) -> KafkaEventLog:
            return cleanup.enter_context(closing(KafkaEventLog(connection, prefix=prefix, **{**settings, **more})))

        yield open_


def _delete(broker: Broker, names: list[str]) -> None:
    with KafkaAdminClient(bootstrap_servers=broker.bootstrap) as admin:
        admin.delete_topics(names)
