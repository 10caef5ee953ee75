"""docs/cluster.md, followed as a reader would: a broker, a warehouse and the roles, block by block."""

import os
from pathlib import Path

import pytest

from deploy.kafka.fetch import Unavailable, jars
from tests.e2e.test_docs import ROOT, Shell, follow, free_port, wait_until_visible

pytestmark = pytest.mark.timeout(600)
PORTS = ("9092", "8123", "8000", "8001", "8002", "8003")


@pytest.fixture
def page() -> str:
    """With ports that are free here. Skips where there can be no broker."""
    try:
        jars()
    except Unavailable as reason:
        if os.environ.get("SIMORGH_REQUIRE_KAFKA"):
            pytest.fail(f"SIMORGH_REQUIRE_KAFKA is set, but: {reason}")
        pytest.skip(f"NOT TESTED ON KAFKA: {reason}")
    text = (ROOT / "docs" / "cluster.md").read_text()
    for port in PORTS:
        text = text.replace(port, str(free_port()))
    return text


def test_the_page_does_what_it_says(page: str, tmp_path: Path, quick_programs: Path) -> None:
    api = page.split("SIMORGH_API=")[1].split(maxsplit=1)[0]
    shell = Shell(tmp_path, quick_programs)
    try:
        compared = follow(shell, page, lambda kind, _: wait_until_visible(api) if kind == "json" else None)
    except AssertionError:
        for log in sorted(tmp_path.glob("*.log")):
            print(f"--- {log.name}\n{log.read_text()[-3000:]}")
        raise
    finally:
        shell.close()
    assert compared == 3
