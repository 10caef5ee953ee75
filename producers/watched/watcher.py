"""Imports the files that arrive at a watched source, one after the other, until it is stopped.

A fault of a file (or its mapping) ends its import, and the file is put away as failed. A fault outside of it (a server
away, a disk full) is retried with growing pauses, and the file waits. Nothing in a file stops the watcher.
"""

import logging
from collections.abc import Callable
from fnmatch import fnmatch
from random import random
from threading import Event
from typing import Any, Final

from producers.files.mapping import Mapping, load_mapping
from producers.files.report import Report
from producers.watched.port import Arrival, Imported, WatchedSource
from schemas.clock import Clock, iso
from schemas.errors import InvalidInput, SimorghError
from schemas.retry import Pauses

LOOK_EVERY_S: Final = 2.0

_PAUSES: Final = Pauses(2.0, 300.0)
_LOG: Final = logging.getLogger(__name__)

Import = Callable[[Arrival, Mapping], Report]
"""Import one file. Raises `InvalidInput` for a fault of the file, any other error for one outside of it."""


class Watcher:
    """One watched source and the mappings of its files: the first whose `files` match a name is taken."""

    def __init__(
        self,
        watched: WatchedSource,
        mappings: list[str],
        import_: Import,
        max_refused: float,
        clock: Clock,
        tell: Callable[[str], None] = _LOG.info,
    ) -> None:
        """`mappings`: paths, or names of shipped ones; each is read again for each file. `tell` is called with a line
        for each file."""
        self._tell = tell
        self._watched = watched
        self._mappings = mappings
        self._import = import_
        self._max_refused = max_refused
        self._clock = clock

    def run(self, stop: Event, every_s: float = LOOK_EVERY_S) -> None:
        """Look every so many seconds. Blocks until `stop` is set."""
        failures = 0
        while not stop.is_set():
            try:
                self.look(stop)
            except (SimorghError, OSError) as error:
                failures += 1
                pause = _PAUSES.after(failures, random())
                what = error.message if isinstance(error, SimorghError) else type(error).__name__
                _LOG.warning("watch: %s; tries again in %.0f s", what, pause)
                stop.wait(pause)
            else:
                failures = 0
                stop.wait(every_s)

    def look(self, stop: Event | None = None) -> int:
        """Import the files that are there now; returns the number of files that were put away. Raises faults outside of
        them."""
        count = 0
        for arrival in self._watched.arrivals():
            if stop is not None and stop.is_set():
                break
            outcome = self._outcome(arrival)
            report = self._watched.put_away(arrival, outcome)
            if report is None:
                self._tell(f"watch: {arrival.name} changed while it was read; it is imported again")
                continue
            count += 1
            self._tell(f"watch: {arrival.name} {'imported' if outcome.done else 'failed'}; see {report}")
        return count

    def _outcome(self, arrival: Arrival) -> Imported:
        told: dict[str, Any] = {"file": arrival.name, "sha256": arrival.digest, "at": iso(self._clock())}
        mapping = self._mapping_of(arrival.name)
        if mapping is None:
            error = f"{arrival.name}: wanted a name that a mapping is for, got another; set files in a mapping"
            return Imported(False, "", told | {"error": error})
        used = f"{mapping.name}/{mapping.fingerprint()}"
        told["mapping"] = mapping.name
        if (before := self._watched.was_imported(arrival, used)) is not None:
            return Imported(True, used, told | {"same_as": before, "events": 0})
        try:
            report = self._import(arrival, mapping)
        except InvalidInput as wrong:
            return Imported(False, used, told | {"error": wrong.message})
        except PermissionError:
            return Imported(False, used, told | {"error": f"{arrival.name}: no permission to read it; change its mode"})
        except (SimorghError, OSError):
            raise  # outside of the file
        except Exception as fault:
            _LOG.exception("watch: an unexpected fault with a file")
            return Imported(False, used, told | {"error": f"an unexpected fault ({type(fault).__name__}); report this"})
        error = self._verdict(report)
        return Imported(not error, used, told | report.as_json() | ({"error": error} if error else {}))

    def _verdict(self, report: Report) -> str:
        """Why a file counts as failed although it was read; "" if it does not."""
        if report.failed:
            return "no row could be used"
        if report.refused_too_much(self._max_refused):
            wanted = f"wanted at most {self._max_refused:.0%} of the rows refused"
            return f"{wanted}, got {report.unusable} of {report.rows}; what could be used was sent"
        return ""

    def _mapping_of(self, name: str) -> Mapping | None:
        for one in self._mappings:
            mapping = load_mapping(one)
            if any(fnmatch(name.casefold(), pattern.casefold()) for pattern in mapping.files):
                return mapping
        return None
