"""A log line a minute: how many events were taken and refused. Nothing while there are none."""

import logging
import threading
from typing import Final

from eventlog.port import RecordLog
from schemas import topics
from schemas.errors import SimorghError

_LOG = logging.getLogger(__name__)
_EVERY_SECONDS: Final = 60.0
_COUNTED: Final = {topics.EVENTS: "events", topics.REJECTED: "rejected", topics.DELIVERIES: "notes of deliveries"}


class MinuteCounts:
    """A thread of its own. On a cluster it counts what all processes appended to the log."""

    def __init__(self, log: RecordLog) -> None:
        self._log = log
        self._over = threading.Event()
        self._before: dict[str, int] = {}

    def start(self) -> None:
        threading.Thread(target=self._run, name="counts", daemon=True).start()

    def stop(self) -> None:
        self._over.set()

    def _run(self) -> None:
        self.look()
        while not self._over.wait(_EVERY_SECONDS):
            self.look()

    def look(self) -> None:
        """Log the number of records appended since the last time."""
        try:
            now = {topic: sum(self._log.ends(topic)) for topic in _COUNTED}
        except SimorghError:
            return  # the log is away: its own line says so
        grown = {topic: end - self._before.get(topic, end) for topic, end in now.items()}
        self._before = now
        if any(grown.values()):
            says = ", ".join(f"{grown[topic]:,} {name}" for topic, name in _COUNTED.items())
            _LOG.info("the last minute: %s", says)
