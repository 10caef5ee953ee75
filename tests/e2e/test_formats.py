"""Every format of the log that was ever released stays readable, with the same answers."""

from pathlib import Path

import pytest

from eventlog.about import FORMAT, OLDEST
from tests.e2e.harness import running, wait_for
from tests.e2e.sample_log import SAMPLES, answers, unpack

FORMATS = sorted(int(folder.name.removeprefix("format-")) for folder in SAMPLES.iterdir())


def test_there_is_a_sample_of_every_format() -> None:
    assert list(range(OLDEST, FORMAT + 1)) == FORMATS


@pytest.mark.parametrize("format", FORMATS)
def test_a_log_of_this_format_gives_the_same_answers(tmp_path: Path, format: int) -> None:
    """Its tables are built from the log, as after a backup."""
    recorded = unpack(format, tmp_path / "data")
    with running(tmp_path / "data") as (_, client):
        wait_for(lambda: client.settled()["events"] == recorded["events"], "the tables are not built")
        assert answers(client) == recorded
