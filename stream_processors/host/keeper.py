"""Runs the trigger stage on the worker that holds partition 0 of simorgh.segments.

The trigger stage reads all partitions of its topic and keeps one ledger, so it has one holder. It continues during a
rebalance, and stops only if the group has assigned the partition to another worker. For the moment in which both run, a
webhook may be attempted twice, under the same `webhook-id`, as after any crash.
"""

import logging
import queue
import threading
from collections.abc import Callable, Iterable
from typing import Final

from destinations.stage import TriggerStage
from schemas import topics

_LOG = logging.getLogger(__name__)

_RENEW: Final = "renew"


class TriggerKeeper:
    """`own` and `hold` from Faust's loop; a thread of its own starts and stops the stage."""

    topic = topics.SEGMENTS

    def __init__(self, make: Callable[[], TriggerStage]) -> None:
        self._make = make
        self._orders: queue.SimpleQueue[bool | str | None] = queue.SimpleQueue()
        self._stage: TriggerStage | None = None
        self._thread = threading.Thread(target=self._run, name="triggers-keeper", daemon=True)

    @property
    def stage(self) -> TriggerStage | None:
        return self._stage

    def start(self) -> None:
        self._thread.start()

    def own(self, partitions: Iterable[int], generation: int) -> None:
        self._orders.put(0 in partitions)

    def hold(self, timeout: float) -> bool:
        return True

    def renew(self) -> None:
        """Replace the stage, if this worker has it. From any thread."""
        self._orders.put(_RENEW)

    def stop(self, timeout: float) -> bool:
        self._orders.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (order := self._orders.get()) is not None:
            if order == _RENEW:
                self._again()
            elif order and self._stage is None:
                self._begin()
            elif not order:
                self._end()
        self._end()

    def _again(self) -> None:
        if self._stage is not None:
            self._end()
            self._begin()

    def _begin(self) -> None:
        stage = self._make()
        stage.start()
        self._stage = stage
        _LOG.info("triggers: this worker calls the webhooks now")

    def _end(self) -> None:
        stage, self._stage = self._stage, None
        if stage is not None:
            stage.stop()
