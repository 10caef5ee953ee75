"""The embedded log passes the contract of every log."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from eventlog.port import EventLog
from eventlog.sqlite import SqliteEventLog
from tests.contracts.event_log import EventLogContract, Opener


class TestSqliteEventLog(EventLogContract):
    @pytest.fixture
    def open_log(self, tmp_path: Path) -> Iterator[Opener]:
        opened: list[SqliteEventLog] = []

        def open_(queue_limit: int = 100_000) -> EventLog:
            opened.append(SqliteEventLog(tmp_path / "log.db", queue_limit=queue_limit))
            return opened[-1]

        yield open_
        for log in opened:
            log.close()
