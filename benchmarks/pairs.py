"""This tree beside another commit of it: CPU per event of ingest and of the pipeline, in pairs of runs that follow
each other.

`make bench ARGS="pairs"` compares with the commit before; `SIMORGH_BENCH_BASE=REV` names another. Each side runs its
own benchmarks, as a process of its own, in the same interpreter and over the same libraries. The ratio is the median
over the pairs, printed with its spread: the machine may be another one a minute later.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks import report

PAIRS: Final = 7
_HERE: Final = Path(__file__).parent.parent

_INGEST: Final = """
from benchmarks import ingest, report
print(report.median([one.cpu for one in ingest.measure(rounds=3)["collector"]]))
"""
_PIPELINE: Final = """
from pathlib import Path
from tempfile import TemporaryDirectory
from benchmarks import pipeline
from benchmarks.world import fill_log
from simorgh.interpreter import tune_interpreter
from warehouse.client import Warehouse
tune_interpreter()
with TemporaryDirectory() as folder:
    root = Path(folder)
    fill_log(root / "full.sqlite", 50_000, pipeline.RULES)
    spent = pipeline._timed(pipeline._our_round, root, Warehouse(f"chdb://{root / 'warehouse'}"), 1)
    print(spent[1] / 50_000 * 1e6)
"""
_MEASURES: Final = {"ingest, batches of 100": _INGEST, "pipeline, 50,000 events, 20 segments": _PIPELINE}


def main(pairs: int = PAIRS) -> None:
    """Print both measures: CPU µs per event of either side, and the ratio with its spread."""
    base = os.environ.get("SIMORGH_BENCH_BASE", "HEAD~1")
    rows = []
    with _checked_out(base) as tree:
        for name, code in _MEASURES.items():
            taken = [(_run(code, tree), _run(code, _HERE)) for _ in range(pairs)]
            ratios = sorted(ours / theirs for theirs, ours in taken)
            theirs, ours = (report.median([pair[side] for pair in taken]) for side in (0, 1))
            rows.append((name, theirs, ours, report.median(ratios), f"{ratios[0]:.2f} to {ratios[-1]:.2f}"))
    columns = ("CPU µs per event", base, "here", "here : there", "spread")
    report.show(f"{pairs} pairs", columns, rows, report.machine())


@contextmanager
def _checked_out(revision: str) -> Iterator[Path]:
    """The tree at a revision, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "base"
        _git("worktree", "add", "--quiet", "--detach", str(tree), revision)
        try:
            yield tree
        finally:
            _git("worktree", "remove", "--force", str(tree))


def _git(*arguments: str) -> None:
    subprocess.run(["git", "-C", str(_HERE), *arguments], check=True)


def _run(code: str, tree: Path) -> float:
    """What the code prints last, run in a tree."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SIMORGH_")}
    environment["PYTHONPATH"] = str(tree)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tree, env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    return float(done.stdout.split()[-1])


if __name__ == "__main__":
    main()
