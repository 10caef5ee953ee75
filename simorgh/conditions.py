"""How the stages of one box stand, from its start to its end: what the platform does with them, and what they say."""

from collections.abc import Callable, Mapping

from destinations.stage import TriggerStage, TriggerStatus
from schemas.condition import RUNNING, STARTING, Condition, said_of
from stream_processors.flow import rejected as rejections
from stream_processors.host.box import GROUP
from stream_processors.host.runner import Runner

TRIGGERS = "triggers"


class BoxConditions:
    """By consumer group. The platform says what it does with the runner, one call at a time; any thread may ask."""

    def __init__(
        self, runner: Callable[[], Runner], triggers: Callable[[], TriggerStage | None], serves: Callable[[], bool]
    ) -> None:
        """`serves`: whether triggers are to run: a command that opens the folder for itself calls nobody."""
        self._runner = runner
        self._triggers = triggers
        self._serves = serves
        self._under_way: Condition | None = STARTING
        """What is done with the runner from outside, which then cannot speak for itself; None: it runs by itself."""

    def rebuilding(self, done: int, total: int) -> None:
        """The tables lack what the log holds, until `started`."""
        self._under_way = Condition("rebuilding", "the tables are being rebuilt from the log", done, total)

    def swapping(self) -> None:
        """The runner is at rest while a replay that ran beside it is swapped in."""
        self._under_way = RUNNING

    def started(self) -> None:
        """From here on the runner says how it stands."""
        self._under_way = None

    def stopped(self, error: BaseException) -> None:
        self._under_way = Condition("stopped", said_of(error))

    def __call__(self) -> Mapping[str, Condition]:
        projections = self._under_way or self._runner().condition
        found = {GROUP: projections, rejections.GROUP: projections}
        return found | {TRIGGERS: self._of_triggers(projections)} if self._serves() else found

    def _of_triggers(self, projections: Condition) -> Condition:
        stage = self._triggers()
        if stage is None:  # it begins after the projections
            return Condition("stopped", "it waits for the projections") if projections.state == "stopped" else STARTING
        return of_triggers(stage.status())


def of_triggers(status: TriggerStatus) -> Condition:
    """What a trigger stage that was started says of itself."""
    if status.error:
        return Condition("stopped", status.error.partition(":")[0])
    if status.failing:
        return Condition("failing", status.failing)
    return RUNNING if status.running else STARTING
