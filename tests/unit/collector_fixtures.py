"""The fixture `it`, for modules with `pytest_plugins = ("tests.unit.collector_fixtures",)`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.world import World, world


@pytest.fixture
def it(tmp_path: Path) -> Iterator[World]:
    """A collector over a log of its own."""
    with world(tmp_path) as made:
        yield made
