"""How many examples property tests draw: few in `make test`, many in `make soak`."""

import os
from typing import Final

EFFORT: Final = int(os.environ.get("EFFORT", "1"))


def examples(number: int) -> int:
    """So many in `make test`; `EFFORT` times as many where that is set."""
    return number * EFFORT
