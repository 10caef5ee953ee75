"""The embedded engine and the descriptors of its process: few may be left, and connections need them too."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from schemas.errors import SimorghError
from warehouse.client import Warehouse
from warehouse.connect import Embedded


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


class _Counted:
    """How many were inside at once, at most."""

    def __init__(self) -> None:
        self.inside = self.most = 0
        self._lock = threading.Lock()

    @contextmanager
    def one(self) -> Iterator[None]:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        yield
        with self._lock:
            self.inside -= 1


@pytest.mark.parametrize(("descriptors", "threads"), [(256, "1"), (4_096, None)], ids=["few", "many"])
def test_few_descriptors_make_the_engine_frugal(chdb_dsn: str, descriptors: int, threads: str | None) -> None:
    """Each of its threads keeps three open, for as long as the process lives."""
    engine, counted = Embedded(chdb_dsn, descriptors=descriptors), _Counted()
    all_inside = threading.Barrier(24)

    def ask(_: int) -> str:
        all_inside.wait(60)
        with engine.handle("read", None) as client, counted.one():
            answer = client.query("SELECT getSetting('max_threads')").result_rows[0][0]
            if descriptors > 1_024:
                all_inside.wait(60)
            return str(answer)

    with ThreadPoolExecutor(24) as callers:
        answers = set(callers.map(ask, range(24)))
    with engine.handle("admin", None) as first, engine.handle("admin", None) as second:
        assert first is not second  # calling off does not wait
    engine.close()
    if threads:
        assert (counted.most <= 12, answers) == (True, {threads})
    else:
        assert counted.most == 24
