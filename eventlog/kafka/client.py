"""What the adapter needs of a client library: publishing, and reading one partition. Two libraries implement it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from eventlog.port import Message, Record
from schemas import topics
from schemas.errors import Backpressure, InvalidSettings, SimorghError
from schemas.retry import Pauses

LINGER_MS: Final = 2
"""How long a message waits for others to share its request."""

FETCH_WAIT_MS: Final = 50
"""How long the broker holds a fetch that finds nothing. A reader that moves elsewhere waits for it to end."""

FETCH_BYTES: Final = 4 * 1024 * 1024
BATCH_BYTES: Final = 512 * 1024
COMPRESSION: Final = "lz4"
"""See docs/kafka.md for what was measured."""

SECURITY: Final[Mapping[str, str]] = {
    "security.protocol": "security_protocol",
    "sasl.mechanism": "sasl_mechanism",
    "sasl.username": "sasl_plain_username",
    "sasl.password": "sasl_plain_password",
    "ssl.ca.location": "ssl_cafile",
    "ssl.certificate.location": "ssl_certfile",
    "ssl.key.location": "ssl_keyfile",
    "ssl.key.password": "ssl_password",
}
"""The settings that pass through, by librdkafka's names, and what kafka-python calls them."""

CLOUDEVENT: Final = "application/cloudevents+json; charset=UTF-8"
JSON: Final = "application/json; charset=UTF-8"

ClientName = Literal["auto", "kafka-python", "confluent"]

Headers = list[tuple[str, bytes]]


def headers_of(topic: str) -> Headers:
    """CloudEvents' Kafka binding, structured mode: the content type says that the value is a whole event."""
    return [("content-type", (CLOUDEVENT if topic == topics.EVENTS else JSON).encode())]


PAUSES: Final = Pauses(0.1, 1.0)
"""Pauses between two attempts of a request, as long as the connection's patience lasts."""


@dataclass(frozen=True, slots=True)
class Connection:
    """The brokers' addresses and how to connect. `bootstrap` is `host:port[,host:port]`. `patience`: seconds to wait
    for a broker that does not answer. `security`: see `SECURITY`. `largest`: bytes of one message. Raises
    `InvalidSettings` for security settings that do not pass through.
    """

    bootstrap: str
    security: Mapping[str, str] = field(default_factory=dict, repr=False)  # has passwords
    patience: float = 20.0
    largest: int = 8 * 1024 * 1024

    def __post_init__(self) -> None:
        unknown = sorted(set(self.security) - set(SECURITY))
        if unknown:
            raise InvalidSettings(
                f"Kafka security: wanted only {', '.join(SECURITY)}, got {', '.join(unknown)}; leave it out"
            )


class Outcome(Protocol):
    """Receives the outcome of each message, by its number, once. Called from any thread."""

    def delivered(self, number: int, partition: int, offset: int) -> None: ...

    def failed(self, number: int, error: SimorghError) -> None: ...


class Publisher(Protocol):
    """Idempotent, acknowledged by all replicas in sync, partition by murmur2 of the key. An empty value is written as
    none, which on a compacted topic deletes its key, and is read as an empty one. For any thread."""

    def send(self, topic: str, messages: Sequence[Message], headers: Headers, first: int, outcome: Outcome) -> None:
        """Publish messages. Those of one thread keep their order in a partition. Never waits for the broker.

        Every message, from number `first` on, has its outcome within the connection's patience.
        """
        ...

    @property
    def broken(self) -> bool:
        """Whether it can no longer publish, or not in order: close it and replace it."""
        ...

    def close(self, timeout: float) -> None:
        """Wait for the outcomes, up to `timeout` seconds. Idempotent."""
        ...


class PartitionReader(Protocol):
    """Reads one partition in order, ahead of its caller. For one thread at a time."""

    def seek(self, offset: int) -> None: ...

    def take(self, count: int, timeout: float) -> list[Record]:
        """The next `count` records, which must exist. Fewer only if `timeout` seconds have passed."""
        ...

    def close(self) -> None: ...


class Ends(Protocol):
    """Asks the leaders where topics end. For any thread."""

    def ends(self, topic: str, partitions: int, patience: float | None = None) -> list[int]:
        """The next offset of each partition. `patience`: seconds to go on trying; None: the connection's.

        Raises `Backpressure` when no broker answers.
        """
        ...

    def close(self) -> None: ...


class Client(Protocol):
    name: str

    def publisher(self) -> Publisher:
        """Connects: blocks. Raises `Backpressure` when no broker answers."""
        ...

    def reader(self, topic: str, partition: int) -> PartitionReader: ...

    def ends(self) -> Ends | None:
        """Its own way to read ends. None: it has none that is cheaper than the admin requests."""
        ...


def unavailable(what: str, why: object) -> Backpressure:
    """The broker is unavailable: submit the same again later. `why` contains no customer's data."""
    return Backpressure(
        f"Kafka: {what}: wanted an answer of the broker, got {why}; offer the same again later", code="log_unavailable"
    )
