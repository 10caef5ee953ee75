"""Topics, ends and positions: small requests to the broker, through kafka-python, whichever client publishes. Each is
retried until the connection's patience ends; then it raises `Backpressure` with code `log_unavailable`.
"""

import contextlib
import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from kafka import KafkaAdminClient, TopicPartition, errors
from kafka.admin import ConfigResource, ConfigResourceType, OffsetSpec
from kafka.structs import OffsetAndMetadata

from eventlog.checks import closed
from eventlog.kafka.client import PAUSES, Connection
from eventlog.kafka.kafka_python import explain, opened
from schemas.errors import Backpressure, InvalidSettings

T = TypeVar("T")

BRIEF: Final = 1.0
"""The longest time in seconds that a thread holds the lock, unless it connects."""

KEEP: Final = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
"""Everything is computed from the log, so no topic may delete records. Existing topics are checked too."""

_PASSING: Final = (errors.UnknownBrokerIdError,)
"""The library says not to retry; but old metadata show this for a partition that has no leader for a moment."""


class Admin:
    """For any thread. Connects at once: raises `Backpressure` when no broker answers."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._client: Any = None
        self._closed = threading.Event()
        try:
            self._try("connecting", lambda client: None)
        except Backpressure as error:
            raise Backpressure(_no_answer(connection), code=error.code) from error

    # --- topics

    def ensure_topics(
        self,
        wanted: Mapping[str, int],
        replication: int,
        min_insync: int,
        required: Mapping[str, str] = KEEP,
        more: Mapping[str, str] | None = None,
    ) -> dict[str, int]:
        """Create missing topics ({name: partitions}). Returns the number of partitions of each topic.

        Any number of processes may do so at once. `replication` -1 and `min_insync` 0 leave it to the broker. Raises
        `InvalidSettings` for a topic without the `required` settings. `more`: settings of new topics, which operators
        may change.
        """
        missing = {name: count for name, count in wanted.items() if name not in self._partitions(wanted)}
        if missing:
            configs = {**required, **(more or {})}
            configs["message.timestamp.type"] = "LogAppendTime"
            configs["max.message.bytes"] = str(2 * self._connection.largest + 1024 * 1024)
            configs["unclean.leader.election.enable"] = "false"
            if min_insync:
                configs["min.insync.replicas"] = str(min_insync)
            self._create(missing, replication, configs)
        if set(missing) != set(wanted):
            self._require([name for name in wanted if name not in missing], required)
        return self._try("finding the topics", lambda client: self._all_there(wanted))

    def _create(self, missing: Mapping[str, int], replication: int, configs: Mapping[str, str]) -> None:
        specification = {
            name: {"num_partitions": count, "replication_factor": replication, "configs": configs}
            for name, count in missing.items()
        }

        def create(client: Any) -> None:
            answer = client.create_topics(specification, raise_errors=False)
            for topic in answer["topics"]:
                kind = errors.for_code(topic["error_code"])
                if kind not in (errors.NoError, errors.TopicAlreadyExistsError):
                    raise kind

        try:
            self._try("making topics", create)
        except errors.KafkaError as error:
            raise InvalidSettings(
                f"Kafka: wanted topics with {replication} replicas, got {type(error).__name__}; check"
                f" SIMORGH_KAFKA_REPLICATION and SIMORGH_KAFKA_MIN_INSYNC"
            ) from error

    def _partitions(self, names: Mapping[str, int]) -> dict[str, int]:
        """The topics that exist and have leaders for all partitions."""
        described = self._try("describing topics", lambda client: client.describe_topics(list(names)))
        return {
            topic["name"]: len(topic["partitions"])
            for topic in described
            if topic["error_code"] == 0 and all(partition["leader_id"] >= 0 for partition in topic["partitions"])
        }

    def _all_there(self, wanted: Mapping[str, int]) -> dict[str, int]:
        found = self._partitions(wanted)
        if len(found) < len(wanted):
            raise errors.LeaderNotAvailableError
        return found

    def _require(self, names: list[str], required: Mapping[str, str]) -> None:
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        found = self._try("reading topics' settings", lambda c: c.describe_configs(resources, config_filter="all"))
        for name, settings in found[ConfigResourceType.TOPIC.name.lower()].items():
            lost = {key for key, value in required.items() if settings[key]["value"] != value}
            if lost:
                raise InvalidSettings(
                    f"Kafka topic {name}: wanted {', '.join(f'{key}={required[key]}' for key in sorted(lost))}, "
                    f"got values that would delete records, or keep records that must go; alter the topic",
                    code="topic_forgets",
                )

    # --- ends and positions

    def ends(self, topic: str, partitions: int, patience: float | None = None) -> list[int]:
        """The next offset of each partition, from the leaders."""
        wanted = {TopicPartition(topic, number): OffsetSpec.LATEST for number in range(partitions)}
        found = self._try("asking for ends", lambda client: client.list_partition_offsets(wanted), patience)
        return [found[partition].offset for partition in wanted]

    def commit(self, group: str, positions: Mapping[str, Mapping[int, int]]) -> None:
        """One request, one batch of the group's log: all or nothing. The group must have no members."""
        offsets = {
            TopicPartition(topic, partition): OffsetAndMetadata(offset, "", -1)
            for topic, by_partition in positions.items()
            for partition, offset in by_partition.items()
        }

        def commit(client: Any) -> None:
            for kind in client.alter_group_offsets(group, offsets).values():
                if kind is not errors.NoError:
                    raise kind

        if offsets:
            self._try("committing", commit, reconnect=True)

    def committed(self, group: str, topic: str, partitions: int) -> list[int]:
        wanted = [TopicPartition(topic, number) for number in range(partitions)]
        found = self._try("asking for positions", lambda c: c.list_group_offsets({group: wanted}), reconnect=True)[
            group
        ]
        return [max(found[partition].offset, 0) if partition in found else 0 for partition in wanted]

    def close(self) -> None:
        """Does not wait for a thread that is connecting, which takes long if no broker answers. That thread closes its
        client."""
        self._closed.set()
        if self._lock.acquire(timeout=BRIEF):
            try:
                self._close_client()
            finally:
                self._lock.release()

    def _close_client(self) -> None:
        """The caller holds the lock."""
        if self._client is not None:
            self._client.close()
            self._client = None

    # --- retrying

    def _try(self, what: str, call: Callable[[Any], T], patience: float | None = None, *, reconnect: bool = False) -> T:
        """`reconnect`: the next attempt uses a new client. The library never forgets which broker was a group's
        coordinator; a new client asks again.
        """
        deadline = time.monotonic() + (self._connection.patience if patience is None else patience)
        failures = 0
        while True:
            client, anew = None, reconnect
            try:
                client = self._connected()
                return call(client)
            except errors.KafkaError as error:
                if not error.retriable and not isinstance(error, _PASSING):
                    raise explain(what, error) if isinstance(error, errors.AuthorizationError) else error from error
                failure = error
                anew = reconnect or isinstance(error, _PASSING)
            except RuntimeError as error:  # from a client that another thread has dropped meanwhile
                if client is None or self._client is client or self._closed.is_set():
                    raise
                failure = errors.KafkaConnectionError(str(error))
            failures += 1
            pause = min(PAUSES.after(failures, random.random()), deadline - time.monotonic())
            if pause <= 0:
                raise explain(what, failure) from failure
            if anew and client is not None:
                self._drop(client)
            self._closed.wait(pause)

    def _connected(self) -> Any:
        with self._lock:
            if self._client is None and not self._closed.is_set():
                self._client = opened(KafkaAdminClient, self._connection)
            if self._closed.is_set():
                self._close_client()
                raise closed(self._connection.bootstrap)
            return self._client

    def _drop(self, client: Any) -> None:
        with self._lock:
            if self._client is client:
                self._client = None
        with contextlib.suppress(errors.KafkaError):
            client.close()


def _no_answer(connection: Connection) -> str:
    """The library does not say why: an unreachable broker, one that requires TLS, and a wrong password look the
    same."""
    return (
        f"Kafka: connecting: wanted an answer of {connection.bootstrap} within {connection.patience:g} s, got none;"
        " look whether it is there (SIMORGH_LOG) and lets us in (SIMORGH_KAFKA_SECURITY)"
    )
