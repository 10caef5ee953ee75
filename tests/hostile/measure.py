"""A calm, then the attack, then a look at what is left."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.harness import Client, Server, wait_for
from tests.hostile.attack import Plan, Target, command
from tests.hostile.ordinary import Ordinary, Seen

CALM_SECONDS = 5.0
SPARE_DESCRIPTORS = 40
"""More than before that may be open after the attack: the engine keeps what it read last."""


@dataclass(frozen=True)
class Used:
    """By the server's process."""

    megabytes: float
    descriptors: int


@dataclass
class Report:
    calm: Ordinary
    attacked: Ordinary
    before: Used
    most: Used
    after: Used
    told: dict[str, dict[str, int]]
    lost: int
    log_lines: int
    stopped_within: float
    status: dict[str, Any]
    misses: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        yield f"{'':22}{'requests':>9}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}  statuses"
        for name, client in (("calm", self.calm), ("under attack", self.attacked)):
            yield _row(f"{name}: sending", client.sending)
            yield _row(f"{name}: /healthz", client.health)
        sent = sum(self.attacked.acknowledged.values())
        yield f"ordinary events acknowledged {sent:,}, lost {self.lost}, given up {self.attacked.unsent}"
        for name, of in (("before", self.before), ("most", self.most), ("after", self.after)):
            yield f"{name:8}{of.megabytes:>9,.0f} MB{of.descriptors:>7} descriptors"
        yield f"SIGTERM to the end: {self.stopped_within:.1f} s; lines of log: {self.log_lines}"
        yield f"events {self.status['events']}"
        yield "what the attack was answered:"
        for kind, told in self.told.items():
            yield f"  {kind:20}" + ", ".join(f"{what}: {n:,}" for what, n in sorted(told.items()))
        yield from (f"MISSED: {miss}" for miss in self.misses)


def _row(name: str, seen: Seen) -> str:
    times = [1000 * seen.percentile(percent) for percent in (50, 99)] + [1000 * max(seen.seconds, default=0)]
    return f"{name:22}{len(seen.seconds):>9,}{times[0]:>9.1f}{times[1]:>9.1f}{times[2]:>9.1f}  {dict(seen.statuses)}"


def measure(
    folder: Path,
    seconds: float,
    plan: Plan = Plan(),
    *,
    calm_seconds: float = CALM_SECONDS,
    descriptors: int = 256,
    health_seconds: float = 0.25,
    most_megabytes: float = 1_500,
) -> Report:
    """`health_seconds`: what the 99th percentile of /healthz may be. `most_megabytes`: by how much the process may be
    larger in the end."""
    server = Server(folder / "data", descriptors=descriptors).start()
    client = Client(server)
    try:
        target = _prepared(client, server)
        calm = _while(server, "c", lambda: time.sleep(calm_seconds))
        client.settled()
        before, most = used(server), [used(server)]
        told: list[dict[str, dict[str, int]]] = []
        attacked = _while(server, "o", lambda: told.append(_attack(server, target, plan, seconds, most)))
        status = wait_for(lambda: _settled(client), "the projections still lag", 300)
        lost = _lost(client, attacked)
        with suppress(AssertionError):
            wait_for(lambda: _calmed(server, before), "descriptors are still open", 20)
        after = used(server)
    finally:
        client.close()
        begun = time.monotonic()
        server.stop()
        stopped_within = time.monotonic() - begun
    report = Report(
        calm=calm,
        attacked=attacked,
        before=before,
        most=Used(max(one.megabytes for one in most), max(one.descriptors for one in most)),
        after=after,
        told=told[0],
        lost=lost,
        log_lines=len((folder / "server.err").read_text().splitlines()),
        stopped_within=stopped_within,
        status=status,
    )
    report.misses = list(_misses(report, health_seconds, most_megabytes))
    return report


def _prepared(client: Client, server: Server) -> Target:
    """Some history to preview over, a segment to stream, tokens to steal."""
    for start in range(0, 10_000, 1_000):
        client.send(*({"type": "track", "event": f"e{n % 999}", "userId": f"h-{n % 2_000}", "messageId": f"h{n}",
                       "properties": {f"p{n % 9}": n % 9}} for n in range(start, start + 1_000)))  # fmt: skip
    client.settled()
    client.post("/v1/segments", {"id": "some", "rule": {"event": "custom.e1", "count": {"gte": 1}}})
    read, write = (
        client.post("/v1/tokens", {"name": scope, "scopes": scopes})["token"]
        for scope, scopes in (("read", ["read", "personal"]), ("write", ["read", "write", "personal"]))
    )
    return Target(server.port, read, write, "some")


def _while(server: Server, name: str, act: Callable[[], object]) -> Ordinary:
    """What an ordinary client sees meanwhile, and for two seconds more."""
    ordinary = Ordinary(server, name=name).start()
    try:
        act()
        time.sleep(2)
    finally:
        ordinary.stop()
    return ordinary


def _attack(server: Server, target: Target, plan: Plan, seconds: float, most: list[Used]) -> dict[str, dict[str, int]]:
    with subprocess.Popen(command(target, plan, seconds), stdout=subprocess.PIPE, text=True) as attack:
        assert attack.stdout is not None
        while attack.poll() is None:
            most.append(used(server))
            time.sleep(0.5)
        told: dict[str, dict[str, int]] = json.loads(attack.stdout.read())
        return told


def _settled(client: Client) -> Any:
    status = client.get("/v1/status")
    return status if all(stage["lag_events"] == 0 for stage in status["projections"]) else None


def _lost(client: Client, ordinary: Ordinary) -> int:
    """Acknowledged events that the profiles do not count."""
    found = {user: client.profile(f"user_id:{user}")["metrics"]["events"] for user in ordinary.people()}
    return sum(abs(count - found[user]) for user, count in ordinary.acknowledged.items())


def used(server: Server) -> Used:
    assert server.process is not None
    pid = server.process.pid
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return Used(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, len(os.listdir(f"/proc/{pid}/fd")))


def _calmed(server: Server, before: Used) -> bool:
    return used(server).descriptors <= before.descriptors + SPARE_DESCRIPTORS


def _misses(report: Report, health_seconds: float, most_megabytes: float) -> Iterator[str]:
    attacked = report.attacked
    for name, seen in (("sending", attacked.sending), ("/healthz", attacked.health)):
        if seen.errors:
            yield f"{name}: no error but those to retry was wanted; {seen.errors} came"
    if attacked.unsent:
        yield f"{attacked.unsent} events were given up after a minute of retries"
    if report.lost:
        yield f"{report.lost} acknowledged events are not counted, or counted twice"
    if attacked.health.percentile(99) > health_seconds:
        took = 1000 * attacked.health.percentile(99)
        yield f"p99 of /healthz: {took:.0f} ms; {1000 * health_seconds:.0f} were wanted"
    if report.after.descriptors > report.before.descriptors + SPARE_DESCRIPTORS:
        yield f"descriptors: {report.before.descriptors} before, {report.after.descriptors} after"
    if report.after.megabytes > report.before.megabytes + most_megabytes:
        yield f"memory: {report.before.megabytes:.0f} MB before, {report.after.megabytes:.0f} MB after"
    if report.stopped_within > 10:
        yield f"SIGTERM: {report.stopped_within:.1f} s to the end; 10 were wanted"
