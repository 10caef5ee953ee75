"""A running server at 1,000 events/s with 100 segments: event -> webhook, and the 360° view meanwhile."""

import asyncio
import sys
import time
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import orjson

from benchmarks import report
from benchmarks.workload import messages, segments
from tests.e2e.harness import TOKEN, WRITE_KEY, Client, Server
from tests.webhook_receiver import Receiver, receiving

RATE, SECONDS, RULES = 1_000, 20, 100
_TICK = 0.025
_MARKERS_PER_SECOND = 20
_VIEWS_PER_SECOND = 25
_PEOPLE = 5_000
_PAST = 100_000


def main(rate: int = RATE, seconds: int = SECONDS) -> None:
    """Open loop: events leave on time whether or not the server keeps up; latency counts from the intended moment."""
    with TemporaryDirectory() as folder, receiving() as receiver:
        server = Server(Path(folder) / "data").start()
        client = Client(server)
        try:
            _warm_up(client)
            _declare(client, receiver.url)
            client.settled()
            sent, views, accepted = asyncio.run(_drive(server.url, rate, seconds))
            client.settled()
            time.sleep(0.5)
            _report(sent, _heard(receiver), views, accepted, rate, seconds)
        finally:
            client.close()
            server.stop()


def _warm_up(client: Client) -> None:
    """A shop that already has customers: most visitors are known."""
    past = messages(_PAST, _PEOPLE, seed=2, now_ms=time.time_ns() // 1_000_000)
    while batch := list(islice(past, 500)):
        for message in batch:
            message["messageId"] = "past-" + message["messageId"]
        client.send(*batch)


def _declare(client: Client, url: str) -> None:
    for name, rule in segments(RULES - 1).items():
        client.post("/v1/segments", {"id": name, "name": name, "rule": rule})
    marked = {"event": "custom.marked", "count": {"gte": 1}}
    client.post("/v1/segments", {"id": "marked", "name": "marked", "rule": marked})
    client.post("/v1/triggers", {"id": "t", "segment": "marked", "on": ["entered"], "webhook": {"url": url}})


async def _drive(url: str, rate: int, seconds: int) -> tuple[dict[str, float], list[float], int]:
    sent: dict[str, float] = {}
    stream = messages(rate * seconds, _PEOPLE, now_ms=time.time_ns() // 1_000_000)
    per_tick = int(rate * _TICK)
    counts = [0]
    async with httpx.AsyncClient(base_url=url, timeout=30) as http_client:
        start = time.perf_counter()
        asking = asyncio.create_task(_ask(url, seconds))
        posts = []
        for tick in range(int(seconds / _TICK)):
            at = start + tick * _TICK
            await asyncio.sleep(max(0.0, at - time.perf_counter()))
            batch = list(islice(stream, per_tick))
            if tick % max(1, int(1 / _TICK / _MARKERS_PER_SECOND)) == 0:
                name = f"marked-{tick}"
                batch.append({"type": "track", "event": "Marked", "userId": name, "messageId": name})
                sent[name] = at
            posts.append(asyncio.create_task(_post(http_client, batch, counts)))
        await asyncio.gather(*posts)
        views = await asking
    return sent, views, counts[0]


async def _post(http_client: httpx.AsyncClient, batch: list[dict[str, object]], counts: list[int]) -> None:
    answer = await http_client.post("/v1/batch", content=orjson.dumps({"batch": batch}), auth=(WRITE_KEY, ""))
    if answer.status_code == 200:
        counts[0] += len(batch)


async def _ask(url: str, seconds: int) -> list[float]:
    """Seconds of each 360° view that another process asked for meanwhile."""
    numbers = map(str, (seconds, _VIEWS_PER_SECOND, _PEOPLE))
    command = (sys.executable, "-m", "benchmarks.asking", url, TOKEN, *numbers)
    asking = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    printed, _ = await asking.communicate()
    return [float(taken) for taken in orjson.loads(printed)]


def _heard(receiver: Receiver) -> dict[str, float]:
    """When the receiver first heard of whom, by identifier."""
    heard: dict[str, float] = {}
    for call in receiver.calls:
        for identity in call.data["identities"]:
            heard.setdefault(identity["value"], call.at)
    return heard


def _report(
    sent: dict[str, float], heard: dict[str, float], views: list[float], accepted: int, rate: int, seconds: int
) -> None:
    hooks = [heard[name] - at for name, at in sent.items() if name in heard]
    rows = [
        (name, len(values), *(report.quantile(values, q) * 1000 for q in (0.5, 0.95, 0.99)))
        for name, values in (("event -> webhook, ms", hooks), ("360° view, ms", views))
        if values
    ]
    missing = len(sent) - len(hooks)
    note = f"{accepted:,} events accepted in {seconds} s at {rate}/s; {RULES} segments; {missing} webhooks missing"
    report.show("Live", ("", "samples", "p50", "p95", "p99"), rows, f"{note}; {report.machine()}")


if __name__ == "__main__":
    main()
