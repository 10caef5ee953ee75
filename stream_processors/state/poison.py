"""Poison: an input that fails alone is set aside, and everything else continues. The rule of all stages, kept in the
log.

When a stage fails for a reason that no store names as its own, its input is halved until the inputs that fail alone are
found. The stage only computes during this search, without effects. An input that fails alone is *set aside* by a record
of kind `poison` in simorgh.registry. Every process reads these records before it processes their inputs, so a restart,
a replay and another host leave out the same inputs, even if they would not fail there.

If no input fails alone, the fault is ours, and so are many failures in a row from several sources: the stage stops, and
a record of kind `stopped` says so. As long as that record applies, nothing is set aside: after a restart of the same
version the stage stops again at once. The first successful batch withdraws it.

Side effects of `find`, in order, and what a crash after each means:

  1 simorgh.rejected   kept again, under the same name
  2 simorgh.registry   from here on it is set aside
"""

import logging
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Final, NamedTuple, TypeVar

import orjson

from eventlog.port import EventLog, Message, Position, Record
from identity.nodes import from_hex, to_hex
from registry.models import POISON, STOPPED, by_projections
from schemas import topics
from schemas.clock import Clock
from schemas.errors import Broken, InvalidInput, SimorghError
from schemas.records import Rejection, encode
from schemas.retry import of_the_outside

_LOG = logging.getLogger(__name__)

CODE: Final = "poison"
"""The code of inputs that are set aside, among the rejected events."""
MOST_IN_A_ROW: Final = 100
PROFILES: Final = "profiles"

_READ: Final = 5_000
_SEVERAL: Final = 2

Item = TypeVar("Item")


class Stopped(Broken):
    """The stage is at fault, not its input: it ends, since retrying does not help."""

    default_code = "stage_stopped"


class Culprit(NamedTuple):
    """An input that fails alone. `source`: its source; `reason`: what failed; `kept`: the rejected event that an
    operator sees."""

    name: str
    source: str
    reason: str
    kept: Rejection


@dataclass(slots=True)
class _Run:
    """Inputs in a row that failed alone."""

    length: int = 0
    sources: set[str] = field(default_factory=set)
    """Two of them at most."""

    def add(self, source: str) -> None:
        self.length += 1
        if len(self.sources) < _SEVERAL:
            self.sources.add(source)

    def is_ours(self, most: int) -> bool:
        return 0 < most <= self.length and len(self.sources) >= _SEVERAL


def place(topic: str, record: Record) -> str:
    """The name under which a record is set aside."""
    return f"{topic}/{record.partition}/{record.offset}"


def profile_name(profile: int) -> str:
    """The name under which a profile is set aside."""
    return f"{PROFILES}/{to_hex(profile)}"


def may_be_the_inputs(error: BaseException) -> bool:
    """Whether an input may be at fault. Not if the error names another cause: the outside, the log, the tables. Nor if
    memory runs out, which is a matter of the whole batch."""
    if of_the_outside(error) or isinstance(error, MemoryError):
        return False
    return not isinstance(error, SimorghError) or isinstance(error, InvalidInput)


class Poison:
    """The inputs that are set aside, as far as they were read. One thread. Call `read_on` before the first batch, and
    after partitions were taken over: an earlier holder may have added some.
    """

    def __init__(self, log: EventLog, clock: Clock, most: int = MOST_IN_A_ROW) -> None:
        """`most`: failures in a row, from several sources, after which a stage stops; 0 for never."""
        self._log = log
        self._clock = clock
        self._most = most
        self._position = 0
        self._reasons: dict[str, str] = {}
        """Of what is set aside, by its name."""
        self._places: dict[str, set[Position]] = {}
        self.profiles: set[int] = set()
        self._returned: set[int] = set()
        self._taken: set[int] = set()
        """Of the returned ones, those that somebody looks at, or has looked at."""
        self._stopped: dict[str, tuple[int, str]] = {}
        """Stage -> the number of failures in a row after which it stopped, and the reason."""
        self._runs: dict[str, _Run] = {}

    # ---- inputs that are set aside

    def places(self, topic: str) -> set[Position]:
        """For a topic: partition and offset of the records that are set aside. Do not change it."""
        return self._places.get(topic, _NOWHERE)

    def reason(self, name: str) -> str:
        return self._reasons[name]

    def read_on(self) -> None:
        """Read the inputs that were set aside, or released, since the last time."""
        while records := self._log.read(topics.REGISTRY, 0, self._position, _READ):
            for record in records:
                if b'"poison"' in record.value or b'"stopped"' in record.value:
                    self._fold(record)
            self._position = records[-1].offset + 1

    def take_returned(self) -> list[int]:
        """The profiles that are no longer set aside, each returned once: process them again."""
        waiting = self._returned - self.profiles - self._taken
        self._taken |= waiting
        return sorted(waiting)

    def look_again(self) -> None:
        """Return the profiles once more: a try has failed, and may not have processed them."""
        self._taken.clear()

    def _fold(self, record: Record) -> None:
        try:
            said = orjson.loads(record.value)
            kind, name, put, body = said["kind"], str(said["id"]), said["op"] == "put", said.get("body", {})
            if kind == POISON:
                self._set(name, str(body.get("reason", "")) if put else None)
            elif kind == STOPPED and put:
                self._stopped[name] = int(body["most"]), str(body["reason"])
            elif kind == STOPPED:
                self._stopped.pop(name, None)
        except (ValueError, TypeError, LookupError, AttributeError, InvalidInput) as error:
            _LOG.warning("registry record %d is left out: %s", record.offset, type(error).__name__)

    def _set(self, name: str, reason: str | None) -> None:
        topic, _, rest = name.partition("/")
        if topic == PROFILES:
            _put(self.profiles, from_hex(rest), reason is not None)
            _put(self._returned, from_hex(rest), reason is None)
            self._taken.discard(from_hex(rest))
        else:
            partition, _, offset = rest.partition("/")
            _put(self._places.setdefault(topic, set()), (int(partition), int(offset)), reason is not None)
        if reason is None:
            self._reasons.pop(name, None)
        else:
            self._reasons[name] = reason

    # ---- finding it

    def find(
        self,
        stage: str,
        items: Sequence[Item],
        attempt: Callable[[Sequence[Item]], object],
        found: Callable[[Item, str], Culprit],
        error: Exception,
    ) -> list[Item]:
        """Set aside the inputs of a stage, given in order, that fail alone. `error` is why they failed together.
        `attempt` computes some of them, without any effect. `found` describes one, given the reason. Raises `error` if
        none fails alone, and `Stopped` if the stage is at fault.
        """
        if not may_be_the_inputs(error):
            raise error
        attempt(items[:0])  # what fails without any input is ours
        outcomes = _tried(items, attempt)
        if not any(fault for _, fault in outcomes):
            raise error
        run = self._runs.setdefault(stage, _Run())
        fails: list[tuple[Item, Culprit]] = []
        for item, fault in outcomes:
            if fault is None:
                run.length = 0
                run.sources.clear()
                continue
            reason = reason_of(fault)
            one = found(item, reason)
            fails.append((item, one))
            run.add(one.source)
            if run.is_ours(self._most) or self._stands(stage):
                sure = fails[: -run.length] if run.length < len(fails) else []
                self._keep(stage, [] if self._stands(stage) else [each for _, each in sure])
                raise self._stop(stage, run, reason) from fault
        self._keep(stage, [each for _, each in fails])
        return [item for item, _ in fails]

    def went_well(self, stage: str) -> None:
        """A batch has succeeded without any input that fails alone."""
        if self._runs or self._stopped:
            self._runs.pop(stage, None)
            if self._stopped.pop(stage, None):
                self._log.append(topics.REGISTRY, [self._said(STOPPED, stage, None)])
                _LOG.warning("%s: goes on, after it had stopped", stage)

    def _stands(self, stage: str) -> bool:
        """Whether a recorded stop applies under the present limit."""
        stopped = self._stopped.get(stage)
        return stopped is not None and 0 < self._most <= stopped[0]

    def _keep(self, stage: str, fails: Sequence[Culprit]) -> None:
        if not fails:
            return
        self._log.append(topics.REJECTED, [(one.kept.id.encode(), encode(one.kept)) for one in fails])
        said = [self._said(POISON, one.name, {"stage": stage, "reason": one.reason}) for one in fails]
        self._log.append(topics.REGISTRY, said)
        for one in fails:
            self._set(one.name, one.reason)
        many = f", and {len(fails) - 1} more" if len(fails) > 1 else ""
        _LOG.error("%s: %s%s set aside, failing alone: %s", stage, fails[0].name, many, fails[0].reason)

    def _stop(self, stage: str, run: _Run, reason: str) -> Stopped:
        if not self._stands(stage):
            self._stopped[stage] = self._most, reason
            body = {"most": self._most, "reason": reason}
            self._log.append(topics.REGISTRY, [self._said(STOPPED, stage, body)])
            came = f"{run.length} in a row from several sources"
        else:
            came = "one, after it had stopped for many"
        return Stopped(
            f"{stage}: wanted inputs that can be processed, got {came} that fail alone ({reason}); install a version"
            " that can and restart, or raise SIMORGH_MOST_SET_ASIDE to set them aside. Nothing is lost"
        )

    def _said(self, kind: str, name: str, body: Mapping[str, object] | None) -> Message:
        return by_projections(kind, name, body, self._clock())


_NOWHERE: Final[set[Position]] = set()


def _tried(items: Sequence[Item], attempt: Callable[[Sequence[Item]], object]) -> list[tuple[Item, Exception | None]]:
    """Each input with the reason if it fails alone, else None. Found by halving, so that a few cost little."""
    try:
        attempt(items)
    except Exception as error:
        if not may_be_the_inputs(error):
            raise
        if len(items) == 1:
            return [(items[0], error)]
    else:
        return [(item, None) for item in items]
    half = len(items) // 2
    return _tried(items[:half], attempt) + _tried(items[half:], attempt)


def _put(into: set[Item], item: Item, there: bool) -> None:
    if there:
        into.add(item)
    else:
        into.discard(item)


def reason_of(error: BaseException) -> str:
    """What failed and where in our code. Never the error's own text, which may quote a customer's value."""
    if isinstance(error, SimorghError):
        return error.message
    frames = traceback.extract_tb(error.__traceback__)
    where = f" in {frames[-1].name} ({PurePath(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}{where}"
