"""How the stages of one process stand: running or not, and why. Status, readiness and metrics tell it from here.

One process runs identity, profiles, segments and rejected events in one thread (group `projections`), and triggers in
another; a worker of a cluster has a lane for each stage.
"""

from dataclasses import dataclass
from typing import Final, Literal

from schemas.errors import SimorghError
from schemas.retry import Pauses

PAUSES: Final = Pauses(0.2, 10.0)
"""Between two tries of a stage, or of all that one thread runs."""

State = Literal["starting", "running", "rebuilding", "failing", "stopped"]


@dataclass(frozen=True, slots=True)
class Condition:
    """How a stage stands.

    starting    it finishes what an earlier process began: what its tables hold is not known yet
    running     it follows the log
    rebuilding  its tables are being built from the log: `done` of `total` events
    failing     its latest try failed with `reason`; it tries again
    stopped     it has ended with `reason`, and does nothing until it is started again
    """

    state: State
    reason: str = ""
    done: int = 0
    total: int = 0

    @property
    def is_complete(self) -> bool:
        """Whether the tables are known to hold all that the stage has committed."""
        return self.state in ("running", "failing")


RUNNING: Final = Condition("running")
STARTING: Final = Condition("starting")


def said_of(error: BaseException) -> str:
    """An error for people, without anything that a customer sent: our own messages hold none, others may."""
    return error.message if isinstance(error, SimorghError) else type(error).__name__
