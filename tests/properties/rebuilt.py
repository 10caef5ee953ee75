"""What one process makes of a cluster's log."""

from itertools import count
from pathlib import Path

from eventlog.port import EventLog
from eventlog.sqlite import SqliteEventLog
from schemas import topics
from stream_processors.host.replay import on_one_box
from tests.properties.installation import Clock
from warehouse.client import Warehouse, Writer

_numbers = count(1)


class Rebuilt:
    """The embedded path over a copy of a cluster's log: events, identity, registry, and what was told."""

    def __init__(self, log: EventLog, clock: Clock, dsn: str, folder: Path) -> None:
        partitions = len(log.ends(topics.EVENTS))
        self.log = SqliteEventLog(folder / f"rebuilt{next(_numbers)}.sqlite", partitions=partitions, clock=clock)
        for topic in (topics.EVENTS, topics.IDENTITY, topics.REGISTRY, topics.SEGMENTS):
            self._copy(log, topic)
        self.warehouse = Warehouse(dsn, f"rebuilt{next(_numbers)}")
        self.warehouse.migrate(1)
        replay = on_one_box(self.log, self.warehouse, clock)
        replay.finish()
        replay.close()
        assert not any(self.log.ends(topics.TOUCHED)), "one process would publish otherwise"

    def _copy(self, log: EventLog, topic: str) -> None:
        for part, end in enumerate(log.ends(topic)):
            if end:
                self.log.append(topic, [(record.key, record.value) for record in log.read(topic, part, 0, end)])
        assert self.log.ends(topic) == log.ends(topic)
        self.log.commit("projections", {topic: dict(enumerate(self.log.ends(topic)))})

    @property
    def writer(self) -> Writer:
        return self.warehouse.writer(2)

    def close(self) -> None:
        for number in self.warehouse.generations():
            self.warehouse.drop(number)
        self.warehouse.close()
        self.log.close()
