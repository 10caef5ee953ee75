"""Retrying a rejected event: through the door again, and into the log."""

from typing import Any

import orjson

from eventlog.port import Message, RecordLog
from producers.door import Door, Refused
from producers.identifiers import FORGOTTEN, SUPPRESSED
from producers.retry import bytes_of
from producers.retry import retry_rejected as admit_again
from registry.registry import Registry
from schemas import topics
from schemas.catalog import Catalog
from schemas.errors import Conflict
from stream_processors.flow import conflicts
from stream_processors.state import poison


def retry_rejected(
    log: RecordLog, registry: Registry, door: Door, record: dict[str, Any], payload: bytes | None
) -> dict[str, Any]:
    """Admit a rejected event again, under its id and time of receipt; durable on return.

    Accepted: the event (of a vendor's webhook, perhaps several) and the note that its rejection is settled are appended
    together. Refused again: the new reason is appended, the original bytes stay. Of somebody who was forgotten: it is
    settled, without its bytes. Answers {"status", "id", "code"?, "reason"?}.

    Raises `Conflict` for a conflicting copy: under its id it would be a copy forever.
    """
    if record["code"] == poison.CODE and payload is None:
        return _retry_poison(log, registry, door, record)
    if record["code"] == conflicts.CODE:
        raise Conflict(
            "rejected event: wanted an event that is not in the log, got a copy of one that is; send it under a new id,"
            " or dismiss it",
            code=conflicts.CODE,
        )
    verdicts = admit_again(record, payload, door=door, registry=registry, catalog=Catalog.load())
    id = str(record["id"])
    refused = [verdict for verdict in verdicts if isinstance(verdict, Refused)]
    accepted = [verdict for verdict in verdicts if not isinstance(verdict, Refused)]
    forgotten = [verdict for verdict in refused if verdict.message is None]
    if forgotten and not accepted:
        return _forgotten(log, record, forgotten[0])
    if refused and not accepted:
        first = refused[0]
        if first.message is None:
            return _forgotten(log, record, first)
        again = {**record, "code": first.code, "reason": first.reason}
        log.append(topics.REJECTED, [(id.encode(), orjson.dumps(again))])
        return {"status": "rejected", "id": first.id, "code": first.code, "reason": first.reason}
    kept = [one.message for one in refused if one.message is not None]
    writes = [(topics.EVENTS, accepted)] if accepted else []
    settled = _settled(_without_bytes(record) if forgotten else record)
    log.submit([*writes, (topics.REJECTED, [*kept, settled])]).result()
    return {"status": "accepted", "id": id}


def _forgotten(log: RecordLog, record: dict[str, Any], verdict: Refused) -> dict[str, Any]:
    left = {**_without_bytes(record), "code": verdict.code, "reason": verdict.reason}
    log.append(topics.REJECTED, [_settled(left)])
    return {"status": "rejected", "id": verdict.id, "code": verdict.code, "reason": verdict.reason}


def _retry_poison(log: RecordLog, registry: Registry, door: Door, record: dict[str, Any]) -> dict[str, Any]:
    """An input that was set aside is appended to the log again, unchanged: its first position stays set aside. A
    profile is touched again."""
    id = str(record["id"])
    if id.startswith(f"{poison.PROFILES}/"):
        registry.take_back(id, "retry")
        log.append(topics.REJECTED, [_settled(record)])
        return {"status": "accepted", "id": id}
    value, topic = bytes_of(record), topics.IDENTITY if record["source"] == topics.IDENTITY else topics.EVENTS
    key = str(orjson.loads(value).get("key", "")).encode()
    again = door.again(value) if topic == topics.EVENTS else value
    if again is None:
        return _forgotten(log, record, Refused(id, SUPPRESSED, FORGOTTEN, None))
    log.submit([(topic, [(key, again)]), (topics.REJECTED, [_settled(record)])]).result()
    return {"status": "accepted", "id": id}


def _without_bytes(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != "payload_base64"} | {"payload": ""}


def _settled(record: dict[str, Any]) -> Message:
    return str(record["id"]).encode(), orjson.dumps({**record, "resolved": True})
