"""The fixture `house`, for modules with `pytest_plugins = ("tests.integration.webhook_fixtures",)`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.webhook_house import House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.log.close()
