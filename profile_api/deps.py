"""The API's dependencies: made by the composition root, kept with the app, used by its routes."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Semaphore
from typing import Annotated, Any, Protocol, TypeVar

from fastapi import Depends, FastAPI, Request
from prometheus_client import CollectorRegistry

from eventlog.port import EventLog, Position
from profile_api.heavy import Heavy
from profile_api.readiness import Readiness
from profile_api.statements import Stated
from profile_api.trees import Trees
from registry.models import Source, SourceSecret
from registry.registry import Registry
from registry.throttle import Throttle
from schemas.clock import Clock, system_clock
from schemas.condition import Condition
from schemas.errors import Broken, Conflict
from stream_processors.flow.topology import ONE_BOX, TopologyStage
from stream_processors.views.find import Views
from stream_processors.views.recent import RecentViews
from warehouse.reader import Reader

T = TypeVar("T")


@dataclass(frozen=True)
class Projections:
    """The projections as this process sees them: its own, or those of workers elsewhere."""

    stages: Sequence[TopologyStage] = ONE_BOX
    """The stages that follow the log, upstream first."""
    conditions: Callable[[], Mapping[str, Condition]] = dict
    """The conditions of this process's stages, by consumer group. Empty if they run elsewhere."""
    shown: Callable[[], list[int]] | None = None
    """Up to which offsets of simorgh.events views hold all that came of it, by partition. None: as far as the
    projections have come, since one process does them together."""
    at_hand: bool = False
    """Whether log and declarations answer from this process's memory: then a view that is there, too, is answered in
    the event loop, without a turn in a thread."""
    recent: RecentViews = field(default_factory=RecentViews)
    """Views whose rows are not in the warehouse yet: empty unless the projections run in this process."""
    visible_within: float = 10.0
    """Seconds that a request waits until the projections have passed its declaration."""
    filled: Callable[[str], float | None] = lambda segment: None
    """The progress of filling a segment, from 0 to 1; None if it is not being filled, or another process fills it."""
    replay: Callable[[], dict[str, Any]] | None = None
    """Starts a rebuild and returns its state. None: this process cannot replay."""
    replay_state: Callable[[], dict[str, Any]] = lambda: {"state": "idle"}

    @property
    def rebuilding(self) -> bool:
        """Whether the tables are incomplete, so that something that is not found may exist."""
        return any(stands.state == "rebuilding" for stands in self.conditions().values())


def _nowhere_to_state(stated: Stated) -> Position:
    raise Broken("consent: wanted a log to state it in, got none; wire state_consent")


class Vendors(Protocol):
    """What the API asks of the connectors of vendors' webhooks. Each raises `InvalidInput` for an unknown vendor."""

    def channel(self, vendor: str) -> str:
        """Of the vendor's events; "" where the source says."""
        ...

    def uses(self, vendor: str) -> Mapping[str, str]:
        """The uses of the vendor's secrets -> what they are."""
        ...

    def check(self, vendor: str, hearing: Mapping[str, Any]) -> None:
        """Raises `InvalidInput` for settings that the vendor's connector cannot use."""
        ...

    def seal(self, source: str, id: str, use: str, secret: str) -> SourceSecret: ...

    def rehearse(self, source: Source, recorded: Mapping[str, Any]) -> dict[str, Any]:
        """What a recorded request would become."""
        ...


@dataclass(frozen=True)
class ApiDeps:
    """Everything the API reads and calls; it holds no state of its own.

    `retry_rejected(record, payload)` admits a rejected event again (the original bytes, or `payload` when
    it is not None), and returns what became of it; `generation()` is the live generation's number.
    """

    log: EventLog
    registry: Registry
    reader: Reader
    secret: bytes
    workspace: str
    retry_rejected: Callable[[dict[str, Any], bytes | None], dict[str, Any]]
    clock: Clock = system_clock
    state_consent: Callable[[Stated], Position] = _nowhere_to_state
    """Appends a statement of consent to simorgh.events; its place there."""
    phone_region: str | None = None
    """The workspace's, for phone numbers without a country; sources may name others."""
    allow_private_webhooks: bool = False
    metrics: CollectorRegistry = field(default_factory=CollectorRegistry)
    generation: Callable[[], int] = lambda: 1
    projections: Projections = field(default_factory=Projections)
    readiness: Readiness = field(default_factory=lambda: Readiness({}))
    heavy: Heavy = field(default_factory=Heavy)
    """Where requests that read much take their turn."""
    declaring: Heavy = field(default_factory=lambda: Heavy(32, 96, 60.0))
    """The threads in which declarations wait until they are visible. Segments declared meanwhile are filled
    together."""
    turns: Semaphore = field(default_factory=lambda: Semaphore(4))
    """Of those who declare: how many ask the warehouse at once. A handle on the embedded engine costs 20 ms to open."""
    trees: Trees = field(default_factory=Trees)
    """The rules of the declared segments, parsed."""
    throttle: Throttle = field(default_factory=lambda: Throttle(system_clock))
    """Of wrong tokens; the collector's of wrong keys is the same one."""
    streams_per_token: int = 20
    connectors: Vendors | None = None
    """None: this process knows no vendors."""
    stopping: Callable[[], bool] = lambda: False
    """Whether the process is about to end: streams end then."""

    @property
    def vendors(self) -> Vendors:
        """Raises `Conflict` where this process knows none."""
        if self.connectors is None:
            raise Conflict("vendors: wanted a process that knows them, got another; ask the API of the deployment")
        return self.connectors

    @property
    def views(self) -> Views:
        return Views(self.reader, self.projections.recent)


# ---- how routes get at it


def keep(app: FastAPI, deps: ApiDeps) -> None:
    """Let the routes of this app find `deps`. Once per app, before its first request."""
    app.state.api, app.state.made = deps, {}


def deps_of(request: Request) -> ApiDeps:
    deps: ApiDeps = request.app.state.api
    return deps


def one_per_app(make: Callable[[ApiDeps], T]) -> Callable[[Request], Awaitable[T]]:
    """A dependency that `make` makes at the first request of an app, kept with the app."""

    async def kept(request: Request) -> T:
        made: dict[Any, T] = request.app.state.made
        if make not in made:
            made[make] = make(deps_of(request))
        return made[make]

    return kept


async def _deps(request: Request) -> ApiDeps:  # a coroutine, so that it takes no turn in a thread
    return deps_of(request)


Deps = Annotated[ApiDeps, Depends(_deps)]
"""A parameter by which a route gets the API's dependencies."""
