"""Fixtures for all tests.

chDB opens one folder per process, so the tests of one run share it, each in databases of its own.
"""

from collections.abc import Iterator

import clickhouse_connect
import pytest


@pytest.fixture(scope="session")
def chdb_dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The engine of this run, open until its end: for `Warehouse(chdb_dsn, workspace)` and plain clients."""
    dsn = f"chdb://{tmp_path_factory.mktemp('chdb')}"
    client = clickhouse_connect.get_client(dsn=dsn)
    yield dsn
    client.close()
