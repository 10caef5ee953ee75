"""Both ways of writing rows, with what they know of nodes, pass the contract of both ports."""

from collections.abc import Iterator
from itertools import count

import pytest

from stream_processors.checkpoints import no_checkpoint
from stream_processors.parse.batch import Batch
from stream_processors.rows.inserts import Inserts
from stream_processors.rows.lingering import Linger, Lingering
from stream_processors.rows.tables import TableHistory
from stream_processors.rows.writing import Through
from stream_processors.views.recent import RecentViews
from tests.contracts.rows import RowsContract
from tests.properties.cluster_world import FinalWarehouse
from warehouse.client import Writer

_numbers = count(1)


class Written:
    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.rows = Through(writer, no_checkpoint)
        self.history = TableHistory(writer, 1)

    def step(self, batch: Batch) -> None:
        """Nothing begins."""

    def land(self) -> None:
        """They have."""


class Gathered:
    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.rows = self.history = Lingering(
            writer,
            Inserts(writer, no_checkpoint),
            [],
            RecentViews(),
            Linger(3_600, 3_600),
            dict,
            lambda positions: None,
        )
        self._at = 0

    def step(self, batch: Batch) -> None:
        before, self._at = self._at, max([self._at, *(record.offset + 1 for record in batch.records)])
        self.rows.begin({0: before}, {0: self._at})

    def land(self) -> None:
        self.rows.end()
        self.rows.commit()


@pytest.fixture
def writer(chdb_dsn: str) -> Iterator[Writer]:
    warehouse = FinalWarehouse(chdb_dsn, f"rows{next(_numbers)}")
    warehouse.migrate(1)
    yield warehouse.writer(1)
    warehouse.drop(1)
    warehouse.close()


class TestThrough(RowsContract):
    @pytest.fixture
    def tables(self, writer: Writer) -> Written:
        return Written(writer)


class TestLingering(RowsContract):
    @pytest.fixture
    def tables(self, writer: Writer) -> Iterator[Gathered]:
        made = Gathered(writer)
        yield made
        made.rows.close()
