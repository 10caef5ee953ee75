"""Both directories pass the contract of every directory."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import orjson
import pytest

from eventlog.sqlite import SqliteEventLog
from schemas import topics
from stream_processors.checkpoints import no_checkpoint
from stream_processors.flow.bus import MemoryBus
from stream_processors.flow.events import link
from stream_processors.flow.identity import IdentityStage
from stream_processors.parse.batch import Batch
from stream_processors.rows.writing import Through
from stream_processors.state.directory import Directory, GraphDirectory, News, TableDirectory
from stream_processors.state.poison import Poison
from tests.contracts.directory import DirectoryContract
from tests.properties.installation import Clock
from tests.properties.segments_world import T0
from warehouse.client import Warehouse, Writer

_numbers = count(1)
Open = Callable[[IdentityStage, Writer, Clock], Directory]


class Identity:
    """The stage over a log and tables of its own, and a directory of one kind."""

    def __init__(self, dsn: str, folder: Path, open: Open) -> None:
        self.clock = Clock()
        self.log = SqliteEventLog(folder / "log.sqlite", partitions=1, clock=self.clock)
        self.warehouse = Warehouse(dsn, f"directory{next(_numbers)}")
        self.warehouse.migrate(1)
        writer = self.warehouse.writer(1)
        self._stage = IdentityStage(self.log, Through(writer, no_checkpoint), MemoryBus(), Poison(self.log, self.clock))
        self._stage.assign([0], 1)
        self._commands = count(1)
        self.directory = open(self._stage, writer, self.clock)

    def publish(self, batch: Batch, news: News) -> None:
        if news.told:
            self.log.append(topics.IDENTITY, [link(batch, i) for i in news.told])
        self.directory.told(batch, news)
        self._take_in()

    def command(self, kind: str, **body: object) -> None:
        record = {
            "kind": kind,
            "command": next(self._commands),
            "reason": "tests",
            "by": "tests",
            "at": T0,
            "decisions": [],
            **body,
        }
        self.log.append(topics.IDENTITY, [(kind.encode(), orjson.dumps(record))])
        self._take_in()

    def _take_in(self) -> None:
        if records := self.log.read(topics.IDENTITY, 0, self._stage.position, 1_000):
            self._stage.process(records)
        self.clock.now += 2_000  # what was told is asked for after a second

    def close(self) -> None:
        self.warehouse.drop(1)
        self.warehouse.close()
        self.log.close()


@pytest.fixture
def place(chdb_dsn: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Identity]:
    made = Identity(chdb_dsn, tmp_path, request.instance.open)
    yield made
    made.close()


class TestGraphDirectory(DirectoryContract):
    @staticmethod
    def open(stage: IdentityStage, writer: Writer, clock: Clock) -> Directory:
        return GraphDirectory(lambda: stage.graph)


class TestTableDirectory(DirectoryContract):
    @staticmethod
    def open(stage: IdentityStage, writer: Writer, clock: Clock) -> Directory:
        return TableDirectory(writer, clock)
