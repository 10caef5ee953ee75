"""Checkpoints of a worker at which a test kills it, or stops it until it is woken."""

import threading

from tests.properties.pipeline_world import Crash


class Killed(Crash):
    """The end of a worker's process."""


class Points:
    """A worker's checkpoints: at a chosen one it dies, or stops until it is woken."""

    def __init__(self) -> None:
        self.dies_at: str | None = None
        self.stops_at: str | None = None
        self.stopped = threading.Event()
        self._go = threading.Event()
        self.reached: list[str] = []

    def __call__(self, name: str) -> None:
        self.reached.append(name)
        if self.dies_at == name:
            self.dies_at = None
            raise Killed(name)
        if self.stops_at == name:
            self.stops_at = None
            self.stopped.set()
            assert self._go.wait(600), "a zombie was never woken"

    def wake(self) -> None:
        self._go.set()
