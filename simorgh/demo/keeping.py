"""Keeping or removing the demo's data: the demo asks on a terminal, and always says where the data is."""

import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import typer

Say = Callable[[str], None]


@dataclass(frozen=True)
class Stay:
    """A data folder with the keys that were made for it, and how to come back to it."""

    folder: Path
    write_key: str
    token: str
    port: int
    program: str = "simorgh"

    def say_how_to_come_back(self, say: Say, url: str = "") -> None:
        """`url`: where it is served now; without one, how to serve it again."""
        if url:
            say(f"\nServing {self.folder} on {url} (API: {url}/docs). Stop with Ctrl-C.")
        else:
            say(f"\nThe demo's data ({self.size()}) is kept in {self.folder}. To come back to it:")
            keys = f"SIMORGH_WRITE_KEY={self.write_key} SIMORGH_API_TOKEN={self.token}"
            serve = f"{self.program} serve --data {shlex.quote(str(self.folder))} --port {self.port or 8000}"
            say(f"{keys} {serve}")
        say(f"API token: {self.token}   write key: {self.write_key}")
        say(f"Commands need neither: simorgh profiles list --data {shlex.quote(str(self.folder))}")
        if not url:
            say(f"To remove it: rm -r {shlex.quote(str(self.folder))}")

    def size(self) -> str:
        held = sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())
        return f"{held / 1e6:,.0f} MB"

    def remove(self, say: Say) -> None:
        size = self.size()
        shutil.rmtree(self.folder)
        say(f"\nRemoved {self.folder} ({size}).")


def _asked(question: str) -> bool | None:
    try:
        return typer.confirm(question, default=False)
    except (typer.Abort, KeyboardInterrupt):  # no answer: nothing is lost
        return None


def keep_or_remove(stay: Stay, *, wish: bool | None, ours: bool, say: Say) -> None:
    """At the end of the demo, its server stopped. `wish`: keep (or not), as the command line said; `ours`: the folder
    was made by the demo, not named by its caller. A named folder is kept; otherwise the user is asked, if there is a
    terminal."""
    if wish is None and ours and sys.stdin.isatty() and sys.stdout.isatty():
        wish = _asked(f"\nKeep the demo's data, {stay.size()} in {stay.folder}?")
    if wish is False:
        stay.remove(say)
    else:
        stay.say_how_to_come_back(say)
