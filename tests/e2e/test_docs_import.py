"""docs/import.md, followed as it stands: without a server, in a folder of its own."""

from contextlib import closing
from pathlib import Path

from tests.e2e.test_docs import ROOT, Shell, follow


def test_the_page_on_importing_does_what_it_says(tmp_path: Path, quick_programs: Path) -> None:
    with closing(Shell(tmp_path, quick_programs)) as shell:
        assert follow(shell, (ROOT / "docs/import.md").read_text()) == 5
    assert (tmp_path / "simorgh-data" / "log.sqlite").exists()
