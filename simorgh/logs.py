"""Which log the settings name. One box has an embedded one, to itself; a cluster's is on Kafka, for everybody."""

from typing import TYPE_CHECKING

from eventlog.port import EventLog
from eventlog.sqlite import SqliteEventLog
from schemas import topics
from schemas.errors import InvalidSettings
from simorgh.settings import Settings

if TYPE_CHECKING:
    from eventlog.kafka.compacted import CompactedTopic
    from eventlog.kafka.log import KafkaEventLog


class OneBox:
    """Settings whose log is embedded: for a process that owns everything. A Kafka log is refused. `purpose` is the
    caller's purpose, for the error.
    """

    def __init__(self, settings: Settings, purpose: str = "this") -> None:
        """Raises `InvalidSettings` if the settings name a Kafka log."""
        if settings.kafka is not None:
            raise InvalidSettings(
                f"SIMORGH_LOG: wanted the log of one machine for {purpose}, got a Kafka log, which the roles of a"
                " cluster share; unset it, or run `simorgh collect`, `simorgh work` and `simorgh api` (docs/deploy.md)"
            )
        self.settings = settings

    def open_log(self) -> SqliteEventLog:
        """The log, in the data folder or where SIMORGH_LOG says. Raises `Conflict` when another process has it."""
        return SqliteEventLog(self.settings.log_path, partitions=self.settings.partitions)


def open_cluster_log(settings: Settings) -> "KafkaEventLog":
    """Connects and makes the topics that are missing. Raises `Backpressure` when no broker answers."""
    if settings.kafka is None:
        raise InvalidSettings("settings: SIMORGH_LOG: wanted the cluster's log, got none; set it to kafka://host:port")
    from eventlog.kafka.log import KafkaEventLog  # half a second, which one box need not wait

    return KafkaEventLog(
        settings.kafka,
        partitions=settings.partitions,
        replication=settings.kafka_replication,
        min_insync=settings.kafka_min_insync,
        client=settings.kafka_client,
    )


def open_keys_topic(settings: Settings) -> "CompactedTopic":
    """Connects and makes `simorgh.keys` if it is missing. Raises `Backpressure` when no broker answers."""
    assert settings.kafka is not None
    from eventlog.kafka.compacted import CompactedTopic

    return CompactedTopic(
        settings.kafka,
        topics.KEYS,
        replication=settings.kafka_replication,
        min_insync=settings.kafka_min_insync,
        client=settings.kafka_client,
    )


def open_log(settings: Settings) -> EventLog:
    """The log of `SIMORGH_LOG`, whichever it is."""
    return OneBox(settings).open_log() if settings.kafka is None else open_cluster_log(settings)
