"""How the interpreter shares itself out in a process that serves."""

import gc
import sys


def tune_interpreter() -> None:
    """For one process with a busy event loop and a busy processor thread.

    Batches make many short-lived containers: collecting them every 700 allocations costs a third of the throughput.
    And a thread that waits for the interpreter waits a switch interval each time, which group commits and views feel.
    """
    gc.set_threshold(100_000, 20, 50)
    gc.freeze()
    sys.setswitchinterval(0.0001)
