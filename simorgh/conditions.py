"""The conditions of one machine's stages, from its start to its end: set by the platform and by the stages."""

from collections.abc import Callable, Mapping

from destinations.stage import TriggerStage, TriggerStatus
from schemas import topics
from schemas.condition import RUNNING, STARTING, Condition, said_of
from stream_processors.flow import rejected as rejections
from stream_processors.host.runner import Runner

TRIGGERS = "triggers"


class BoxConditions:
    """By consumer group. The platform reports what it does with the runner, one call at a time; any thread may read."""

    def __init__(
        self, runner: Callable[[], Runner], triggers: Callable[[], TriggerStage | None], serves: Callable[[], bool]
    ) -> None:
        """`serves`: whether triggers run: a command that opens the folder itself calls nobody."""
        self._runner = runner
        self._triggers = triggers
        self._serves = serves
        self._under_way: Condition | None = STARTING
        """The condition while the platform works on the runner, which then has none of its own; None: it runs by
        itself."""

    def rebuilding(self, done: int, total: int) -> None:
        """The tables are incomplete until `started`."""
        self._under_way = Condition("rebuilding", "the tables are being rebuilt from the log", done, total)

    def swapping(self) -> None:
        """The runner pauses while a replay is swapped in."""
        self._under_way = RUNNING

    def started(self) -> None:
        """From here on the runner reports its condition."""
        self._under_way = None

    def stopped(self, error: BaseException) -> None:
        self._under_way = Condition("stopped", said_of(error))

    def __call__(self) -> Mapping[str, Condition]:
        projections = self._under_way or self._runner().condition
        found = {topics.PROJECTIONS: projections, rejections.GROUP: projections}
        return found | {TRIGGERS: self._of_triggers(projections)} if self._serves() else found

    def _of_triggers(self, projections: Condition) -> Condition:
        stage = self._triggers()
        if stage is None:  # it begins after the projections
            return Condition("stopped", "it waits for the projections") if projections.state == "stopped" else STARTING
        return of_triggers(stage.status())


def of_triggers(status: TriggerStatus) -> Condition:
    """The condition of a started trigger stage."""
    if status.error:
        return Condition("stopped", status.error.partition(":")[0])
    if status.failing:
        return Condition("failing", status.failing)
    return RUNNING if status.running else STARTING
