"""Which log the settings name."""

from eventlog.port import EventLog
from eventlog.sqlite import SqliteEventLog
from simorgh.settings import Settings


def open_log(settings: Settings) -> EventLog:
    """The log of `SIMORGH_LOG`: on Kafka, or embedded in the data folder, which must exist.

    On Kafka this connects and makes the topics that are missing. Raises `Backpressure` when no broker answers,
    `Conflict` when another process has the embedded log.
    """
    connection = settings.kafka
    if connection is None:
        return SqliteEventLog(settings.log_path, partitions=settings.partitions)
    from eventlog.kafka.log import KafkaEventLog

    return KafkaEventLog(
        connection,
        partitions=settings.partitions,
        replication=settings.kafka_replication,
        min_insync=settings.kafka_min_insync,
        client=settings.kafka_client,
    )
