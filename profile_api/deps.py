"""What the API is made of, handed over by the composition root."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry

from eventlog.port import EventLog
from profile_api.heavy import Heavy
from profile_api.readiness import Readiness
from registry.registry import Registry
from registry.throttle import Throttle
from schemas.clock import Clock, system_clock
from stream_processors.host.condition import Condition
from stream_processors.views.recent import RecentViews
from stream_processors.flow.topology import PROJECTIONS, Stage
from stream_processors.views.find import Views
from warehouse.reader import Reader


@dataclass(frozen=True)
class ApiDeps:
    """Everything the API reads and calls; it holds no state of its own.

    `retry_rejected(record, payload)` admits a rejected event again (the original bytes, or `payload` when
    it is not None), and returns what became of it; `generation()` is the live generation's number;
    `replay()` starts a rebuild and returns its state, None where this process cannot replay.
    """

    log: EventLog
    registry: Registry
    reader: Reader
    secret: bytes
    workspace: str
    retry_rejected: Callable[[dict[str, Any], bytes | None], dict[str, Any]]
    clock: Clock = system_clock
    allow_private_webhooks: bool = False
    metrics: CollectorRegistry = field(default_factory=CollectorRegistry)
    generation: Callable[[], int] = lambda: 1
    replay: Callable[[], dict[str, Any]] | None = None
    replay_state: Callable[[], dict[str, Any]] = lambda: {"state": "idle"}
    stages: Sequence[Stage] = PROJECTIONS
    """The stages that follow the log, upstream first."""
    shown: Callable[[], list[int]] | None = None
    """Up to which offsets of simorgh.events views hold all that came of it, by partition. None: as far as the
    projections have come, since one process does them together."""
    at_hand: bool = False
    """Whether log and declarations answer from this process's memory: then a view that is there, too, is answered in
    the event loop, without a turn in a thread."""
    recent: RecentViews = field(default_factory=RecentViews)
    """What is shown before its rows are in the warehouse: empty, but where the projections run in this process."""
    conditions: Callable[[], Mapping[str, Condition]] = dict
    """How the stages that this process runs stand, by consumer group. Empty where they run elsewhere."""
    readiness: Readiness = field(default_factory=lambda: Readiness({}))
    heavy: Heavy = field(default_factory=Heavy)
    """Where requests that read much take their turn."""
    declaring: Heavy = field(default_factory=lambda: Heavy(8, 32, 60.0))
    """Where those wait that declare something, until it is visible."""
    throttle: Throttle = field(default_factory=lambda: Throttle(system_clock))
    """Of wrong tokens; the collector's of wrong keys is the same one."""
    streams_per_token: int = 20
    stopping: Callable[[], bool] = lambda: False
    """Whether the process is about to end: streams end then."""
    visible_within: float = 10.0
    """Seconds that a request waits until the projections have passed what it declared."""

    @property
    def rebuilding(self) -> bool:
        """Whether the tables lack what the log holds, so that what is not found may be there all the same."""
        return any(stands.state == "rebuilding" for stands in self.conditions().values())

    @property
    def views(self) -> Views:
        return Views(self.reader, self.recent)
