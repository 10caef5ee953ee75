"""The fixtures `sent`, `clock` and `folder`, for modules with `pytest_plugins = ("tests.unit.watched_fixtures",)`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from producers.watched.folder import WatchedFolder
from tests.unit.watched_world import Clock, Sent


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path, clock: Clock) -> Iterator[WatchedFolder]:
    (tmp_path / "in").mkdir()
    made = WatchedFolder(tmp_path / "in", 5.0, clock)
    yield made
    made.close()
