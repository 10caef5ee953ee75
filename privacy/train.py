"""Makes a dictionary for personal content: `python -m privacy.train FILE < EVENTS`, one envelope a line.

Use events that were made up: a dictionary is public, and holds what was often in them.
"""

import sys
from pathlib import Path
from typing import Final

import orjson

from eventlog.zstd import zstd
from schemas.envelope import PERSONAL_MEMBERS

SIZE: Final = 8_192


def main(target: Path) -> None:
    samples = []
    for line in sys.stdin.buffer:
        event = orjson.loads(line)
        samples.append(orjson.dumps({name: event[name] for name in PERSONAL_MEMBERS if name in event}))
    target.write_bytes(zstd.train_dict(samples, SIZE).dict_content)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
