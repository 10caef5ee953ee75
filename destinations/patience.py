"""Doing our own steps until they succeed: a log under pressure or a warehouse that restarts is waited for."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from typing import ParamSpec, TypeVar

from schemas.errors import Broken

P = ParamSpec("P")
T = TypeVar("T")

_LOG = logging.getLogger(__name__)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


async def insist(thread: Executor, step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking step in `thread`, again after growing pauses while it fails. `Broken` passes: waiting
    cannot help there. Ends only by success, `Broken` or cancellation."""
    pause = _FIRST_PAUSE
    while True:
        try:
            return await asyncio.get_running_loop().run_in_executor(thread, lambda: step(*args, **kwargs))
        except Broken:
            raise
        except Exception as error:  # whatever it is: the step is repeatable, and stopping would lose deliveries
            _LOG.warning("triggers: %s failed (%s), again in %.1f s", step.__name__, type(error).__name__, pause)
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
