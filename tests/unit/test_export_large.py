"""An export of a person with very many events: what it holds at a time does not grow with them."""

import io
import json
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventlog.sqlite import SqliteEventLog
from profile_api import people
from profile_api.deps import ApiDeps
from profile_api.export import Exports, files
from profile_api.portability.archive import PIECE, archive
from profile_api.portability.contents import Contents
from registry.registry import Registry
from schemas.errors import Throttled
from tests.unit.api_world import NOW, SECRET, World, node
from warehouse.client import Warehouse
from warehouse.connect import connections

EVENTS = 200_000

_INSERT = """INSERT INTO events SELECT {anchor:UInt128}, fromUnixTimestamp64Milli({now:Int64} - number),
    'page.viewed', 0, number, fromUnixTimestamp64Milli({now:Int64} - number), 0, number, 'shop', 0, 0, 0, '', '',
    concat('{"id":"e', toString(number), '","source":"/sources/shop","type":"page.viewed","time":"t","place":0,',
        '"identifiers":[{"type":"user_id","value":"u1","normalised":"u1","node":"', lower(hex({anchor:UInt128})),
        '"}],',
        '"properties":{"text":"',
        hex(sipHash128(number)), hex(sipHash128(number + 1)), '"}}') FROM numbers({count:UInt64})"""


@pytest.fixture
def deps(chdb_dsn: str, tmp_path: Path) -> Iterator[ApiDeps]:
    warehouse = Warehouse(chdb_dsn, "large")
    warehouse.migrate(1)
    log = SqliteEventLog(tmp_path / "log.db")
    registry = Registry(log, lambda: NOW)
    made = ApiDeps(log, registry, warehouse.reader(lambda: 1), SECRET, "default", lambda *_: {}, lambda: NOW)
    world = World(log, warehouse, connections(chdb_dsn), registry, made, None)  # type: ignore[arg-type]  # nobody calls its app
    world.person(("user_id", "u1"))
    world.writer.command(_INSERT, {"anchor": node("user_id", "u1"), "now": NOW, "count": EVENTS})
    yield made
    warehouse.drop(1)
    warehouse.close()
    log.close()


def held() -> int:
    """Bytes of memory that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_what_is_held_does_not_grow_with_the_events(deps: ApiDeps, tmp_path: Path) -> None:
    contents = Contents(deps, people.profile_row(deps, "user_id:u1"))
    for _ in zip(range(2_000), contents.events(), strict=False):  # what the engine keeps for itself is there before
        pass
    before, most, largest = held(), 0, 0
    began = time.perf_counter()
    with (tmp_path / "u1.zip").open("wb") as file:
        for piece in archive(files(contents, "en"), NOW):
            largest, most = max(largest, len(piece)), max(most, held())
            file.write(piece)
    print(f"{time.perf_counter() - began:.1f} s, {(most - before) / 1e6:.0f} MB")
    assert largest < 16 * PIECE
    assert most - before < 150_000_000
    with zipfile.ZipFile(tmp_path / "u1.zip") as packed:
        assert packed.getinfo("events.json").file_size > 30_000_000
        with packed.open("events.json") as lines:
            ids = {json.loads(line.rstrip(b",\n"))["id"] for line in lines if line.startswith(b"{")}
        with packed.open("events.csv") as lines:
            assert sum(1 for _ in lines) == EVENTS + 1
        assert "1000" in packed.read("index.html").decode()
    assert len(ids) == EVENTS


def test_a_place_is_free_again_however_an_export_ends(deps: ApiDeps) -> None:
    exports = Exports(deps)
    pieces = [exports.run(iter([b"a", b"b"])) for _ in range(2)]
    with pytest.raises(Throttled):
        exports.run(iter([b"a"]))
    del pieces  # nobody asked for a single piece
    again = exports.run(iter([b"a", b"b"]))
    assert b"".join(again) == b"ab"
    assert b"".join(exports.run(iter([b"c"]))) == b"c"
    with pytest.raises(ZeroDivisionError):
        exports.run(1 // 0 for _ in range(1))  # type: ignore[misc]
    assert [next(exports.run(iter([b"d"]))) for _ in range(4)] == [b"d"] * 4


def test_the_zip_needs_no_seeking() -> None:
    pieces = archive([("a.json", lambda: [b"[]"]), ("b.json", lambda: [b"x" * 1_000_000])], NOW)
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as packed:
        assert packed.read("a.json") == b"[]"
        assert packed.testzip() is None
