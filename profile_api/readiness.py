"""Readiness: whether a load balancer should send requests here. Each check tests one part that the process needs. It
may block, so it runs in a thread of its own; a check that does not return in time has failed. Results are cached for a
moment, so frequent requests cost nothing.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final, Protocol

from schemas.condition import Condition, said_of
from schemas.errors import Conflict, SimorghError
from warehouse.reader import Reader

KEPT_SECONDS: Final = 1.0
PATIENCE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class ReadinessFault:
    """Why requests do not belong here now: `code` is stable, `message` says what to do."""

    code: str
    message: str


Check = Callable[[], ReadinessFault | None]
"""None: no fault. May block; an exception is a fault too."""


class Readiness:
    """Ask from one event loop."""

    def __init__(
        self,
        checks: Mapping[str, Check],
        *,
        at_once: Sequence[Check] = (),
        patience: float = PATIENCE_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`checks` by the name of the part; `at_once`: checks that never block: they are never cached, and come first;
        `patience`: seconds until a part counts as silent."""
        self._at_once = at_once
        self._checks = [_Asked(name, check, patience, now) for name, check in checks.items()]

    async def faults(self) -> list[ReadinessFault]:
        """In the order of the checks; empty: send requests."""
        answers = await asyncio.gather(*(check.answer() for check in self._checks))
        return [fault for fault in (*(check() for check in self._at_once), *answers) if fault is not None]


class _Asked:
    """A check with its latest answer. There is never more than one thread that waits for the same part."""

    def __init__(self, name: str, check: Check, patience: float, now: Callable[[], float]) -> None:
        self._name = name
        self._check = check
        self._patience = patience
        self._now = now
        self._known: ReadinessFault | None = None
        self._until = float("-inf")
        self._asking: Future[ReadinessFault | None] | None = None

    async def answer(self) -> ReadinessFault | None:
        if self._now() >= self._until:
            self._known = await self._ask()
            self._until = self._now() + KEPT_SECONDS
        return self._known

    async def _ask(self) -> ReadinessFault | None:
        if self._asking is None:
            self._asking = _in_a_thread(self._name, self._check)
        try:
            fault = await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(self._asking)), self._patience)
        except TimeoutError:
            return ReadinessFault(
                f"{self._name}_silent", f"{self._name}: it does not answer within {self._patience:g} s; look there."
            )
        except Exception as error:
            fault = ReadinessFault(error.code if isinstance(error, SimorghError) else "internal", said_of(error))
        self._asking = None
        return fault


def _in_a_thread(name: str, check: Check) -> "Future[ReadinessFault | None]":
    """A daemon, so that a part that never answers does not keep the process from ending."""
    answer: Future[ReadinessFault | None] = Future()

    def run() -> None:
        try:
            answer.set_result(check())
        except Exception as error:
            answer.set_exception(error)

    threading.Thread(target=run, name=f"readiness-{name}", daemon=True).start()
    return answer


# ---- the checks


class Probed(Protocol):
    """A log that knows whether it accepts appends (`eventlog.watched`)."""

    refusing: SimorghError | None

    def probe(self) -> None: ...

    def ends(self, topic: str) -> list[int]: ...


def log_takes_events(log: Probed, topic: str) -> Check:
    """The log answers, and stored the latest append, or stores one now."""

    def check() -> ReadinessFault | None:
        log.ends(topic)
        try:
            log.probe()
        except Conflict:
            raise
        except SimorghError as error:
            return ReadinessFault("events_refused", f"Events are refused: {error.message}")
        return None

    return check


class SealingKeys(Protocol):
    """Data keys (`privacy.keyring`)."""

    def ready(self) -> None: ...


def keys_are_known(keys: SealingKeys) -> Check:
    """Events can be sealed and opened."""

    def check() -> ReadinessFault | None:
        keys.ready()
        return None

    return check


def tables_answer(reader: Reader, damage: Callable[[], SimorghError | None] = lambda: None) -> Check:
    """The warehouse answers a query of the live tables, and no query has met a `damage` on disk."""

    def check() -> ReadinessFault | None:
        reader.look_up("SELECT profile FROM views WHERE profile = 0 LIMIT 1")
        met = damage()
        return None if met is None else ReadinessFault(met.code, met.message)

    return check


def stages_run(conditions: Callable[[], Mapping[str, Condition]]) -> Check:
    """No stage of this process has stopped or keeps failing, and the tables are complete."""

    def check() -> ReadinessFault | None:
        faults = [fault for name, stands in conditions().items() if (fault := _fault_of(name, stands))]
        return min(faults, key=lambda fault: _GRAVITY.index(fault.code), default=None)

    return check


_GRAVITY: Final[Sequence[str]] = ("stage_stopped", "rebuilding", "stage_failing")


def _fault_of(name: str, stands: Condition) -> ReadinessFault | None:
    if stands.state == "stopped":
        return ReadinessFault(
            "stage_stopped",
            f"{name}: the stage has stopped ({stands.reason}). Events are kept: fix the cause, then restart.",
        )
    if stands.state == "rebuilding":
        return ReadinessFault(
            "rebuilding",
            f"{name}: {stands.reason}, {stands.done:,} of {stands.total:,} events are done. Ask again later.",
        )
    if stands.state == "failing":
        return ReadinessFault(
            "stage_failing", f"{name}: the latest try failed ({stands.reason}). It tries again by itself."
        )
    return None
