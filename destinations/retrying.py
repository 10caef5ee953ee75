"""Retries the stage's own steps until they succeed, and reports those that fail now."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Final, ParamSpec, TypeVar

from schemas.errors import SimorghError
from schemas.retry import Failures, Pauses

P = ParamSpec("P")
T = TypeVar("T")

_LOG = logging.getLogger(__name__)
PAUSES: Final = Pauses(0.1, 5.0)


class Retrying:
    """Used on the loop's thread; `failing` may be read by any."""

    def __init__(self, random: Callable[[], float], pauses: Pauses = PAUSES) -> None:
        self._random = random
        self._pauses = pauses
        self._failing: dict[Failures, str] = {}

    @property
    def failing(self) -> str:
        """Why a step is being retried; '' while none is."""
        return next(iter(self._failing.copy().values()), "")

    async def run(self, thread: Executor, step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking step in `thread`, and retry it after growing pauses while it fails. Every step can be
        repeated. A fault of the outside is retried for as long as it lasts. After a few faults of our own in a row, the
        latest is raised. Cancelling it interrupts a pause.
        """
        failures = Failures(self._pauses)
        try:
            while True:
                try:
                    return await asyncio.get_running_loop().run_in_executor(thread, lambda: step(*args, **kwargs))
                except Exception as error:
                    failures.add(error)
                    self._failing[failures] = reason_of(error)
                    if failures.is_final:
                        raise
                pause = failures.pause(self._random())
                _LOG.warning("triggers: %s failed (%s), again in %.1f s", step.__name__, self._failing[failures], pause)
                await asyncio.sleep(pause)
        finally:
            self._failing.pop(failures, None)


def reason_of(error: BaseException) -> str:
    """An error for people, without a customer's data: our own messages contain none, others may."""
    return error.message if isinstance(error, SimorghError) else type(error).__name__
