"""An interrupted import goes on where it stopped, and only for the same file, mapping and channel."""

import os
import subprocess
import sys
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from producers.files.checkpoint import Checkpoint
from producers.files.events import Event
from producers.files.importer import import_file
from producers.files.mapping import Mapping, parse_mapping
from producers.files.sinks import ACCEPTED, SendOutcome
from schemas.errors import Backpressure


def mapping(**changes: Any) -> Mapping:
    return parse_mapping(
        {
            "kind": "people",
            "name": "contacts",
            "channel": "server",
            "identifiers": [{"column": "id", "type": "user_id"}],
            "traits": {"city": "town"},
        }
        | changes
    )


class Platform:
    """Keeps the ids of what it was sent, and goes away after so many."""

    def __init__(self, room: int) -> None:
        self.ids: list[str] = []
        self.room = room

    def send(self, events: Sequence[Event]) -> list[SendOutcome]:
        if len(self.ids) + len(events) > self.room:
            raise Backpressure("sending: wanted an answer, got none; try again")
        self.ids += [event["id"] for event in events]
        return [ACCEPTED for _ in events]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "contacts.csv"
    path.write_text("id,town\n" + "".join(f"u{n},{'' if n % 500 else 'Bonn'}\n" for n in range(3_500)) + ",nobody\n")
    return path


def checkpoint(file: Path, rules: Mapping | None = None, channel: str = "server") -> Checkpoint:
    return Checkpoint(file.parent / "imports", file, rules or mapping(), channel)


def interrupted(file: Path, room: int = 2_000) -> Platform:
    platform = Platform(room)
    with pytest.raises(Backpressure):
        import_file(file, mapping(), platform, checkpoint=checkpoint(file))
    return platform


def test_it_goes_on_and_sends_each_event_once(file: Path) -> None:
    platform = interrupted(file)
    assert len(platform.ids) == 2_000
    platform.room = 10_000
    report = import_file(file, mapping(), platform, checkpoint=checkpoint(file))
    assert len(platform.ids) == len(set(platform.ids)) == 3_501
    assert (report.continued_at, report.total, report.rows, report.unusable) == (2_000, 1_500, 3_501, 1)
    Console(file=(printed := StringIO()), width=200).print(report)
    assert "2,000 were sent before the interruption" in printed.getvalue()
    assert checkpoint(file).sent == 0  # and from the start again, as copies
    assert list((file.parent / "imports").iterdir()) == []


def test_another_file_mapping_or_channel_begins_at_the_start(file: Path) -> None:
    interrupted(file)
    assert checkpoint(file).sent == 2_000
    assert checkpoint(file, mapping(traits={"place": "town"})).sent == 0
    assert checkpoint(file, channel="pos").sent == 0
    os.utime(file, ns=(1, 1))
    assert checkpoint(file).sent == 0


def test_a_mapping_has_one_fingerprint_in_every_process(file: Path) -> None:
    code = "from producers.files.mapping import load_mapping as l; print(l('woocommerce-orders').fingerprint())"
    seen = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(seen) == 1


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"sent": "x"}', b'{"sent": -5}'])
def test_a_torn_count_begins_at_the_start(file: Path, content: bytes) -> None:
    interrupted(file)
    [path] = (file.parent / "imports").iterdir()
    path.write_bytes(content)
    assert checkpoint(file).sent == 0


def test_counts_that_nobody_needs_are_bounded(file: Path) -> None:
    folder = file.parent / "imports"
    folder.mkdir()
    for n in range(150):
        (folder / f"{n}.json").write_bytes(b"{}")
    import_file(file, mapping(), Platform(10_000), checkpoint=checkpoint(file))
    assert len(list(folder.iterdir())) == 100
