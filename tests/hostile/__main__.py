"""`python -m tests.hostile [--minutes 10] …`: prints what an ordinary client saw; ends with 1 if it missed."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.hostile.attack import Plan
from tests.hostile.measure import measure


def main() -> int:
    asked = argparse.ArgumentParser(prog="make hostile", description=__doc__)
    asked.add_argument("--minutes", type=float, default=10.0)
    asked.add_argument("--descriptors", type=int, default=256, help="what `ulimit -n` says for the server")
    asked.add_argument("--idle", type=int, default=300, help="idle sockets")
    asked.add_argument("--previews", type=int, default=60, help="heavy previews at once")
    asked.add_argument("--health-ms", type=float, default=250.0, help="what p99 of /healthz may be")
    given = asked.parse_args()
    plan = Plan(idle=given.idle, previews=given.previews)
    with tempfile.TemporaryDirectory(prefix="simorgh-hostile-") as folder:
        report = measure(
            Path(folder),
            given.minutes * 60,
            plan,
            descriptors=given.descriptors,
            health_seconds=given.health_ms / 1000,
        )
        print(*report.lines(), sep="\n")
    return 1 if report.misses else 0


if __name__ == "__main__":
    sys.exit(main())
