"""The jars of an Apache Kafka server, from Maven Central: `python -m deploy.kafka.fetch` prints their folder.

They are kept outside the repository, in `~/.cache/simorgh/kafka-<version>` (SIMORGH_CACHE names another folder
than `~/.cache/simorgh`). The version is the one of `pom.xml`; Java 17 or newer runs it.
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

POM: Final = Path(__file__).with_name("pom.xml")
LONGEST: Final = 280
"""Seconds for Maven. A first fetch is 43 MB and some plugins."""


class Unavailable(Exception):
    """A Kafka server cannot be had here; the message says what is missing."""


def version() -> str:
    found = re.search(r"<kafka\.version>(.+)</kafka\.version>", POM.read_text())
    assert found, "pom.xml names the version"
    return found[1]


def cache() -> Path:
    return Path(os.environ.get("SIMORGH_CACHE") or Path.home() / ".cache" / "simorgh")


def jars() -> Path:
    """The folder of jars, fetched first if need be. Any number of processes may call this at once.

    The folder appears in one step when it is complete, so whoever sees it may use it. Raises `Unavailable`.
    """
    folder = cache() / f"kafka-{version()}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            _fetch(folder)
    return folder


def _fetch(folder: Path) -> None:
    mvn = shutil.which("mvn")
    if mvn is None:
        raise Unavailable(f"Kafka {version()}: wanted Maven (mvn) to fetch it, there is none; install maven")
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        done = subprocess.run(
            [mvn, "-B", "-q", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={scratch}/jars"],
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
        if done.returncode:
            raise Unavailable(f"Kafka {version()}: Maven could not fetch it: {done.stdout.strip()[:500]}")
        os.rename(f"{scratch}/jars", folder)


if __name__ == "__main__":
    try:
        print(jars())
    except Unavailable as reason:
        sys.exit(str(reason))
