"""The embedded engine and the descriptors of its process: few may be left, and connections need them too."""

import os
from pathlib import Path

import pytest

from schemas.errors import SimorghError
from warehouse.client import Warehouse


def _libraries() -> int:
    """Shared libraries held open as files."""
    named = []
    for descriptor in os.listdir("/dev/fd"):
        try:
            named.append(os.readlink(f"/dev/fd/{descriptor}"))
        except OSError:  # the one that listed them
            continue
    return sum(".so" in name for name in named)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("generation", [1, 7], ids=["a query", "a database that is gone"])
def test_an_error_opens_no_library(chdb_dsn: str, generation: int) -> None:
    """A stack trace needs the symbols of every library, and the engine never closes them again."""
    warehouse = Warehouse(chdb_dsn, "descriptors")
    warehouse.migrate(1)
    before = _libraries()
    for ask in (warehouse.reader(lambda: generation).rows, warehouse.writer(generation).rows):
        with pytest.raises(SimorghError):
            ask("SELECT throwIf(1)", {})
    assert _libraries() == before
