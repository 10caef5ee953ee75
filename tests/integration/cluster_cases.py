"""What the cases of a cluster's stages share: two workers on one log and one warehouse (see `cluster_world`)."""

from collections.abc import Callable
from typing import Any

from destinations.intake import Intake
from identity.nodes import node_of, to_hex
from producers.incoming import Incoming
from registry.models import Source
from schemas import topics
from stream_processors.host.worker import WorkerStages
from tests.properties.cluster_world import Cluster, Worker
from tests.properties.pipeline_world import SECRET, make_door
from warehouse.client import Writer

U1 = ("user_id", "u1")
MAIL = ("email", "a@example.com")
SEEN = {"metric": "events", "gte": 1}
PROFILE_POINTS = ("passed_on", "views", "profile_rows", "segments", "transitions", "memberships")
SHORT_POINTS = ("views", "transitions")
"""Of these the ones of `make test`: before a transition is told, and after."""

Make = Callable[..., Cluster]


def node(identifier: tuple[str, str]) -> int:
    return node_of(SECRET, "default", *identifier)


def send(cluster: Cluster, id: str, *identifiers: tuple[str, str], at: int | None = None) -> None:
    event = Incoming(
        type="page.viewed",
        id=id,
        source=Source(id="shop"),
        channel="web",
        received_at=cluster.clock() if at is None else at,
        identifiers=identifiers,
    )
    cluster.append([make_door().admit(event, b"{}")])


def rows(cluster: Cluster, sql: str) -> list[tuple[Any, ...]]:
    return cluster.writer.rows(sql)


def live(cluster: Cluster) -> dict[int, int]:
    """Profile -> its events, of those alive."""
    return dict(cluster.writer.rows("SELECT profile, events FROM profile_rows WHERE live = 1"))


def entered(cluster: Cluster) -> dict[int, int]:
    sql = "SELECT profile, toUnixTimestamp64Milli(entered_at) FROM memberships WHERE member = 1"
    return dict(cluster.writer.rows(sql))


def holder(cluster: Cluster, stage: str, part: int) -> Worker:
    return next(worker for worker in cluster.workers if part in worker.positions[stage])


def owner_of(cluster: Cluster, profile: int) -> Worker:
    """The worker that owns a profile: its last touch says in which partition."""
    key = to_hex(profile).encode()
    for part in cluster.partitions_of("profiles"):
        if any(record.key == key for record in cluster.log.read(topics.TOUCHED, part, 0, 1_000)):
            return holder(cluster, "profiles", part)
    raise AssertionError("never touched")


def touched(cluster: Cluster, id: str, *others: tuple[str, str]) -> Worker:
    """An event of U1 goes as far as its touch; the worker that is to look at the profile next."""
    send(cluster, id, U1, *others)
    for worker in cluster.workers:
        cluster.step(worker, "events")
    cluster.step(holder(cluster, "identity", 0), "identity")
    return owner_of(cluster, node(U1))


def call_about(cluster: Cluster, segment: str, *on: str) -> None:
    hook = {"url": "https://example.com/hook", "secret": "whsec_" + "c2VjcmV0" * 4}
    cluster.declare("trigger", "hook", {"segment": segment, "on": list(on), "webhook": hook})


def called(cluster: Cluster) -> list[str]:
    """The transitions that triggers are called for."""

    def reached(_: str) -> None: ...

    log = cluster.log
    intake = Intake(
        log,
        cluster.registry,
        lambda _: {},
        lambda purpose, profiles: set(),
        cluster.clock,
        reached=reached,
        known=set(),
        shown=lambda: log.ends(topics.SEGMENTS),
    )
    return [delivery.transition for delivery in intake.take().deliveries]


# Who is who


def stages_over(cluster: Cluster, writer: Writer) -> WorkerStages:
    """One more worker, with a writer of its own."""
    return WorkerStages(cluster.log, writer, cluster.warehouse.reader(lambda: 1), cluster.clock)
