"""`make bench`: every benchmark, or those named: `make bench ARGS="pipeline live"`."""

import sys
from collections.abc import Callable

from benchmarks import (
    declarations,
    erasure,
    facts,
    ingest,
    kafka,
    live,
    pairs,
    pipeline,
    privacy,
    scale,
    webhooks,
    worker,
)

_ALL: dict[str, Callable[[], object]] = {
    "ingest": ingest.main,
    "webhooks": webhooks.main,
    "pipeline": pipeline.main,
    "facts": facts.main,
    "privacy": privacy.main,
    "erasure": erasure.main,
    "live": live.main,
    "declarations": declarations.main,
    "scale": scale.main,
    "kafka": kafka.main,
    "worker": worker.main,
    "pairs": pairs.main,
}

if __name__ == "__main__":
    for name in sys.argv[1:] or _ALL:
        _ALL[name]()
