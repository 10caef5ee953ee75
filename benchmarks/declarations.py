"""20 segments declared over the API on a box that has a past, beside the same 20 questions as plain SQL."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from benchmarks import report
from benchmarks.workload import segments
from benchmarks.world import fill_log
from eventlog.sqlite import SqliteEventLog
from profile_api.app import create_api
from profile_api.deps import ApiDeps, Projections
from registry.registry import Registry
from schemas import topics
from schemas.clock import system_clock
from schemas.errors import NotFound
from segments.rule import parse_rule
from segments.sql import compile_sql
from simorgh.interpreter import tune_interpreter
from stream_processors.host.runner import Runner
from stream_processors.views.recent import RecentViews
from warehouse import latest
from warehouse.client import Warehouse
from warehouse.reader import Reader

EVENTS, PEOPLE, RULES = 100_000, 3_000, 20
_TOKEN = "a-token-of-the-benchmark"
_NODES = f"SELECT node, home AS profile FROM ({latest.homes()}) WHERE home != 0"


class Box:
    """A log, an embedded warehouse, the projections in their thread, and the API without a socket."""

    def __init__(self, folder: Path, events: int, people: int) -> None:
        fill_log(folder / "log.sqlite", events, 0, people)
        self.log = SqliteEventLog(folder / "log.sqlite")
        self._warehouse = Warehouse(f"chdb://{folder / 'warehouse'}")
        self._warehouse.migrate(1)
        self.reader = self._warehouse.reader(lambda: 1)
        recent = RecentViews()
        self._runner = Runner(self.log, self._warehouse, 1, system_clock, recent=recent)
        self._runner.recover()
        self._runner.drain()
        self._runner.start()
        registry = Registry(self.log, system_clock, env_token=_TOKEN)
        deps = ApiDeps(
            self.log, registry, self.reader, b"benchmark-secret", "default", lambda record, payload: {},
            projections=Projections(recent=recent, at_hand=True, visible_within=120.0),
        )  # fmt: skip
        self.app = create_api(deps)

    def settle(self) -> None:
        """Wait until all profiles have been looked at again that the declarations ask for, if any have to be."""
        end = self.log.ends(topics.REGISTRY)[0]
        while self.log.committed(topics.PROJECTIONS, topics.REGISTRY)[0] < end:
            time.sleep(0.01)

    def close(self) -> None:
        self._runner.stop()
        self._warehouse.close()
        self.log.close()


class Spent:
    """Seconds of time and of CPU, of all threads: until the answers, and until everything has settled."""

    def __init__(self, box: Box, work: Callable[[], None]) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        self.wall, self.cpu = time.perf_counter() - wall, time.process_time() - cpu
        box.settle()
        self.settled = time.process_time() - cpu


def main(events: int = EVENTS, people: int = PEOPLE) -> float:
    """Print the comparison; returns the ratio of CPU, a burst over plain SQL."""
    tune_interpreter()
    rules = segments(RULES)
    with TemporaryDirectory() as folder:
        box = Box(Path(folder), events, people)
        try:
            _plain_sql(box.reader)  # what the engine opens at its first query is not counted
            plain = Spent(box, lambda: _plain_sql(box.reader))
            compiled = Spent(box, lambda: _compiled(box.reader, rules))
            one_by_one = Spent(box, lambda: asyncio.run(_declare(box, rules, at_once=1)))
            asyncio.run(_delete(box, rules))
            box.settle()
            burst = Spent(box, lambda: asyncio.run(_declare(box, rules, at_once=RULES)))
        finally:
            box.close()
    rows = [
        (name, spent.wall, spent.cpu, spent.settled, spent.settled / plain.cpu)
        for name, spent in (
            ("plain SQL", plain),
            ("what the rules compile to", compiled),
            ("declared one by one", one_by_one),
            ("declared in a burst", burst),
        )
    ]
    columns = ("", "s", "CPU s", "CPU s, settled", "× plain SQL")
    report.show(f"{RULES} segments over {events:,} events of {people:,} people", columns, rows, report.machine())
    return burst.settled / plain.cpu


async def _declare(box: Box, rules: dict[str, Any], at_once: int) -> None:
    turns = asyncio.Semaphore(at_once)

    async def declare(client: httpx.AsyncClient, name: str) -> None:
        async with turns:
            body = {"id": name, "name": name, "rule": rules[name]}
            answer = await client.post("/v1/segments", json=body)
        if answer.status_code != 201:
            raise NotFound(f"benchmark: wanted 201 for {name}, got {answer.status_code}; look at what the API logs")

    async with _client(box) as client:
        await asyncio.gather(*(declare(client, name) for name in rules))


async def _delete(box: Box, rules: dict[str, Any]) -> None:
    async with _client(box) as client:
        for name in rules:
            await client.delete(f"/v1/segments/{name}")


def _client(box: Box) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(box.app),
        base_url="http://api.test",
        headers={"Authorization": f"Bearer {_TOKEN}"},
        timeout=600,
    )


def _compiled(reader: Reader, rules: dict[str, Any]) -> None:
    now = system_clock()
    for rule in rules.values():
        query = compile_sql(parse_rule(rule), now, _nobody)
        reader.fill(query.sql, query.parameters)


def _nobody(segment: str) -> Any:
    raise NotFound(f"benchmark: wanted the segment {segment}, got one that is not declared; declare it first")


def _plain_sql(reader: Reader) -> None:
    """The workload's questions, as somebody would ask them who knows the tables."""
    for sql in plain_questions(RULES):
        reader.fill(sql)


def plain_questions(count: int) -> list[str]:
    """The twin of `workload.segments`."""
    kinds = ("order.completed", "product.viewed", "product.added", "page.viewed", "checkout.started")
    refunded = _profiles("type = 'order.refunded'", "1")
    found = []
    for n in range(count):
        kind = kinds[n % len(kinds)]
        revenue = "JSONExtractFloat(payload, 'properties', 'revenue')"
        shapes = (
            _grouped(f"type = '{kind}' AND time > now() - INTERVAL {7 + n} DAY", f"count() >= {2 + n // 5}"),
            _grouped(f"type = 'order.completed' AND {revenue} >= {20 + n} AND time > now() - INTERVAL 30 DAY", "1")
            + f" AND profile IN ({_trait('country', 'DE', 'IR')})",
            _grouped("type = 'order.completed' AND time > now() - INTERVAL 30 DAY", f"sum({revenue}) >= {50 + n}"),
            _grouped(f"type = '{kind}'", "count() >= 3")
            + f" AND profile NOT IN ({refunded})",
            f"SELECT DISTINCT profile FROM ({_NODES}) WHERE profile IN ({_trait('plan', 'pro')}) OR profile IN ("
            + _profiles(f"type = '{kind}'", f"max(time) >= now() - INTERVAL {14 + n} DAY") + ")",
        )  # fmt: skip
        found.append(shapes[(n // len(kinds) + n) % len(shapes)])
    return found


def _grouped(where: str, having: str) -> str:
    return f"SELECT DISTINCT profile FROM ({_NODES}) WHERE profile IN ({_profiles(where, having)})"


def _profiles(where: str, having: str) -> str:
    joined = f"events INNER JOIN ({_NODES}) AS n USING node"
    return f"SELECT n.profile FROM {joined} WHERE {where} GROUP BY n.profile HAVING {having}"


def _trait(name: str, *values: str) -> str:
    wanted = ", ".join(f"'\"{value}\"'" for value in values)
    return (
        f"SELECT n.profile FROM traits INNER JOIN ({_NODES}) AS n USING node WHERE kind = 'trait' AND name = '{name}'"
        f" GROUP BY n.profile HAVING argMax(value, traits.ver) IN ({wanted})"
    )


if __name__ == "__main__":
    main()
