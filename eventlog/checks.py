"""Checks that every adapter makes, with the same messages."""

from collections.abc import Collection, Sequence

from eventlog.port import Message
from schemas.errors import Conflict, InvalidInput


def check_messages(topic: str, messages: Sequence[Message], largest: int) -> None:
    """Keys and values are bytes of at most `largest`. Raises `InvalidInput`, before anything is stored."""
    for message in messages:
        key, value = message
        if type(key) is not bytes or type(value) is not bytes:
            raise InvalidInput(
                f"Event log, topic {topic}: wanted bytes for key and value, "
                f"got {type(key).__name__} and {type(value).__name__}; nothing was appended"
            )
        if len(key) > largest or len(value) > largest:
            raise InvalidInput(
                f"Event log, topic {topic}: wanted a key and a value of at most {largest} bytes, "
                f"got {len(key)} and {len(value)}; nothing was appended",
                code="too_large",
            )


def check_partition(topic: str, partition: int, partitions: int) -> None:
    if not 0 <= partition < partitions:
        raise InvalidInput(
            f"Event log, topic {topic}: wanted a partition below {partitions}, got {partition}; count from 0"
        )


def check_beyond(topic: str, beyond: Sequence[int], partitions: int) -> None:
    if len(beyond) != partitions:
        raise InvalidInput(
            f"Event log, topic {topic}: wanted {partitions} offsets to wait for, got {len(beyond)}; give one for each"
        )


def check_group(group: str) -> None:
    if not group:
        raise InvalidInput("Event log: wanted the name of a consumer group, got an empty one; name one")


def checked_offset(topic: str, offset: int) -> int:
    if not 0 <= offset < 1 << 62:
        raise InvalidInput(f"Event log, topic {topic}: wanted an offset from 0 on, got {offset}; ask `ends`")
    return offset


def unknown_topic(known: Collection[str]) -> InvalidInput:
    return InvalidInput(
        f"Event log: wanted one of the topics {', '.join(sorted(known))}, got another; "
        f"topics are declared in schemas.topics",
        code="unknown_topic",
    )


def closed(where: object) -> Conflict:
    return Conflict(f"Event log {where}: wanted an open log, got a closed one; open it again", code="closed")
