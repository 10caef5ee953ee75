"""What the benchmarks run on: a log full of a workload's events, made once and copied for every round."""

from pathlib import Path

from benchmarks.workload import messages, segments
from eventlog.port import EventLog
from eventlog.sqlite import SqliteEventLog
from identity.rules import DEFAULT_RULES
from privacy.keyring import Keyring
from privacy.log import SealedLog
from producers.door import Door, Refused
from producers.sealer import Sealer
from producers.verdicts import SdkRequest
from registry.registry import Registry
from schemas import topics
from schemas.catalog import Catalog
from schemas.clock import random_id, system_clock
from schemas.errors import Broken

EVENTS_PER_PERSON = 40
SECRET = b"benchmark-secret"
_BATCH = 500
_REQUEST = 20
"""Events of a request, which share the moment of receipt; the next request comes a millisecond later."""


def fill_log(path: Path, events: int, rules: int, people: int | None = None, keyring: Keyring | None = None) -> None:
    """A new log at `path` with `rules` declared segments and `events` events as the web connector makes them.

    Of `people` people, else of as many as makes `EVENTS_PER_PERSON` for each. With a `keyring`, sealed.
    """
    log = SqliteEventLog(path)
    fill(log, events, rules, people, keyring)
    log.close()


def fill(log: EventLog, events: int, rules: int, people: int | None = None, keyring: Keyring | None = None) -> None:
    """The same into an empty log that is open."""
    declare(log, rules)
    registry = Registry(log, system_clock, env_write_key="benchmark")
    source = registry.authenticate_write_key("benchmark")
    if source is None:
        raise Broken("benchmark: wanted its own key, got an unknown one; report this")
    catalog = Catalog.load()
    sealer = Sealer(keyring, SECRET, "default", catalog) if keyring else None
    door = Door(SECRET, "default", lambda: DEFAULT_RULES, catalog, random_id, sealer=sealer)
    into: EventLog = SealedLog(log, keyring) if keyring else log
    now = system_clock()
    began = now - events // _REQUEST
    batch = []
    for n, message in enumerate(messages(events, people or max(1, events // EVENTS_PER_PERSON), now_ms=began)):
        number, place = divmod(n, _REQUEST)
        request = SdkRequest(source=source, kind=None, members={}, body=b"", received_at=began + number)
        verdict = request.verdict(door, catalog, random_id, message, place)
        if isinstance(verdict, Refused):
            raise Broken(f"benchmark: wanted accepted events, got one refused ({verdict.code}); fix the workload")
        batch.append(verdict)
        if len(batch) == _BATCH:
            into.append(topics.EVENTS, batch)
            batch = []
    if batch:
        into.append(topics.EVENTS, batch)


def declare(log: EventLog, rules: int) -> None:
    """The workload's segments."""
    registry = Registry(log, system_clock, env_write_key="benchmark")
    for name, rule in segments(rules).items():
        registry.declare("segment", name, {"name": name, "rule": rule}, by="benchmark")


def pour(source: Path, log: EventLog) -> None:
    """Append the events of a closed log to one that is open."""
    full = SqliteEventLog(source)
    for partition in range(len(full.ends(topics.EVENTS))):
        position = 0
        while records := full.read(topics.EVENTS, partition, position, _BATCH):
            log.append(topics.EVENTS, [(record.key, record.value) for record in records])
            position = records[-1].offset + 1
    full.close()
