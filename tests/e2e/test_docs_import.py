"""docs/import.md, followed as it stands: without a server, in a folder of its own."""

import json
from pathlib import Path

from tests.e2e.test_docs import BLOCK, ROOT, Shell, assert_shows, assert_text_shows


def test_the_page_on_importing_does_what_it_says(tmp_path: Path) -> None:
    text = (ROOT / "docs/import.md").read_text()
    shell = Shell(tmp_path)
    answer, compared = "", 0
    try:
        for kind, block in BLOCK.findall(text):
            if kind == "sh":
                answer = shell.run(block)
            elif kind == "json":
                assert_shows(json.loads(answer.splitlines()[-1]), json.loads(block))
                compared += 1
            else:
                assert_text_shows(answer, block.strip(), "output")
                compared += 1
    finally:
        shell.close()
    assert compared == 5
    assert (tmp_path / "simorgh-data" / "log.sqlite").exists()
