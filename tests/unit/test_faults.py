"""Every error of the command line is one readable line."""

import errno
import os
import sqlite3
from pathlib import Path

import httpx
import pytest

from schemas.errors import Conflict, InvalidSettings
from simorgh.faults import explain
from simorgh.logs import OneBox
from simorgh.platform import Platform
from simorgh.settings import Settings


@pytest.mark.parametrize("number", sorted(errno.errorcode))
def test_no_errno_alone(number: int) -> None:
    said = explain(OSError(number, os.strerror(number), "/srv/data"))
    assert said.startswith("/srv/data: ")
    assert "Errno" not in said
    assert str(number) not in said.split()


@pytest.mark.parametrize(
    "error",
    [
        Conflict("folder: in use\nby another"),
        sqlite3.OperationalError("database is locked"),
        httpx.ConnectError("[Errno 111] Connection refused"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        KeyError("sara@example.com"),
        ValueError("sara@example.com"),
        OSError("without a number"),
        MemoryError(),
        RecursionError(),
        TimeoutError(),
        BrokenPipeError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_one_line_without_a_customer(error: BaseException) -> None:
    said = explain(error)
    assert said
    assert "\n" not in said
    assert "sara" not in said
    assert "Errno" not in said


def test_sqlite_by_its_code(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"no log of ours" * 100)
    with sqlite3.connect(tmp_path / "log") as db, pytest.raises(sqlite3.DatabaseError) as caught:
        db.execute("SELECT 1 FROM sqlite_schema")
    assert "simorgh restore" in explain(caught.value)
    db.close()


def test_there_is_no_second_owner_of_a_kafka_log(tmp_path: Path) -> None:
    """By construction: neither a box's log nor its platform can be made over one, and nothing is left behind."""
    settings = Settings(log="kafka://127.0.0.1:9", data=tmp_path / "data")
    with pytest.raises(InvalidSettings, match="simorgh collect"):
        OneBox(settings)
    with pytest.raises(InvalidSettings, match="for import, got a Kafka log"):
        Platform(settings, "import")
    assert list(tmp_path.iterdir()) == []
