"""The conditions of the stages of one process: running or not, and why. Status, readiness and metrics read them here.

One process runs identity, profiles, segments and rejected events in one thread (group `projections`), and triggers in
another; a worker of a cluster has a lane for each stage.
"""

from dataclasses import dataclass
from typing import Final, Literal

from schemas.errors import SimorghError
from schemas.retry import Pauses

PAUSES: Final = Pauses(0.2, 10.0)
"""Pauses between two attempts of a stage, or of all stages of one thread."""

State = Literal["starting", "running", "rebuilding", "failing", "stopped"]


@dataclass(frozen=True, slots=True)
class Condition:
    """The condition of a stage.

    starting    it finishes the work of an earlier process; its tables may be incomplete
    running     it follows the log
    rebuilding  its tables are being built from the log: `done` of `total` events
    failing     its latest attempt failed with `reason`; it retries
    stopped     it has ended with `reason`, and does nothing until a restart
    """

    state: State
    reason: str = ""
    done: int = 0
    total: int = 0

    @property
    def is_complete(self) -> bool:
        """Whether the tables certainly hold everything that the stage has committed."""
        return self.state in ("running", "failing")


RUNNING: Final = Condition("running")
STARTING: Final = Condition("starting")


def said_of(error: BaseException) -> str:
    """An error for people, without a customer's data: our own messages contain none, others may."""
    return error.message if isinstance(error, SimorghError) else type(error).__name__
