"""The attack: every kind a task, all at once, until the time is over. A process of its own, see `command`.

Speaks raw HTTP over asyncio: what it does to the wire is no client library's business. Prints one line of JSON: how
often each kind was answered what.
"""

import asyncio
import base64
import json
import random
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from tests.e2e.harness import WRITE_KEY

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Plan:
    """How much of each kind."""

    idle: int = 300
    endless: int = 4
    previews: int = 60
    traits: int = 299
    slow_bodies: int = 10
    streams: int = 40


@dataclass(frozen=True)
class Target:
    """`read`, `write`: tokens with these scopes, as a thief may have them."""

    port: int
    read: str
    write: str
    segment: str


Answer = tuple[int, float]
"""Status (0: none came) and what `Retry-After` says."""


class Attack:
    def __init__(self, target: Target, plan: Plan) -> None:
        self.target = target
        self.plan = plan
        self.told: dict[str, Counter[str]] = {}
        self.chance = random.Random(7)
        self.over = False

    def kinds(self) -> dict[str, list[Callable[[], Awaitable[None]]]]:
        """Each is done again and again."""
        return {
            "idle socket": [self.idle] * self.plan.idle,
            "endless header": [self.endless] * self.plan.endless,
            "header of 32 MB": [self.large_header],
            "slow body": [self.slow_body] * self.plan.slow_bodies,
            "endless trailer": [self.trailer],
            "random bytes": [self.noise] * 4,
            "preview": [self.preview] * self.plan.previews,
            "rule over a limit": [self.rule],
            "new traits": [self.new_traits],
            "new event names": [self.new_types],
            "new people": [self.new_people],
            "wrong token": [self.guess] * 2,
            "stream": [self.stream] * self.plan.streams,
        }

    async def run(self, seconds: float) -> None:
        tasks = [asyncio.create_task(self._repeat(kind, act)) for kind, acts in self.kinds().items() for act in acts]
        await asyncio.sleep(seconds)
        self.over = True  # Python 3.11's `wait_for` may swallow a cancellation
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=10)
        for task in tasks:
            if task.done() and not task.cancelled():
                task.result()  # an attack that ended by a fault of its own attacked nobody

    async def _repeat(self, kind: str, act: Callable[[], Awaitable[None]]) -> None:
        self.told.setdefault(kind, Counter())
        await asyncio.sleep(self.chance.random())
        while not self.over:
            try:
                await act()
            except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
                self.told[kind][type(error).__name__] += 1
            await asyncio.sleep(0.05)

    # --- the wire

    async def idle(self) -> None:
        reader, writer = await self._connect()
        try:
            self._note("idle socket", "closed" if await reader.read(1) == b"" else "answered")
        finally:
            writer.close()

    async def endless(self) -> None:
        await self._drip(
            "endless header", b"GET /healthz HTTP/1.1\r\n", lambda: b"X-%d: %s\r\n" % (0, b"a" * 500), 0.02
        )

    async def large_header(self) -> None:
        reader, writer = await self._connect()
        try:
            writer.write(b"GET /healthz HTTP/1.1\r\nX: ")
            for _ in range(32):
                writer.write(b"a" * 1_000_000)
                await writer.drain()
            self._note("header of 32 MB", await _status(reader))
        finally:
            writer.close()
        await asyncio.sleep(1)

    async def slow_body(self) -> None:
        head = self._head("POST", "/v1/batch", f"Authorization: {_basic()}", "Content-Length: 400000")
        await self._drip("slow body", head, lambda: b" ", 0.5)

    async def trailer(self) -> None:
        head = self._head("POST", "/v1/batch", f"Authorization: {_basic()}", "Transfer-Encoding: chunked")
        await self._drip("endless trailer", head + b"2\r\n{}\r\n0\r\nX: ", lambda: b"a" * 5_000, 0.02)

    async def noise(self) -> None:
        reader, writer = await self._connect()
        try:
            writer.write(self.chance.randbytes(self.chance.randrange(1, 4_000)))
            await writer.drain()
            self._note("random bytes", await _status(reader, 15))
        finally:
            writer.close()

    async def _drip(self, kind: str, head: bytes, drop: Callable[[], bytes], pause: float) -> None:
        reader, writer = await self._connect()
        answer = asyncio.create_task(_status(reader, 600))
        try:
            writer.write(head)
            while not answer.done():
                writer.write(drop())
                await writer.drain()
                await asyncio.sleep(pause)
            self._note(kind, await answer)
        finally:
            answer.cancel()
            await asyncio.gather(answer, return_exceptions=True)
            writer.close()

    # --- the API, with stolen tokens

    async def preview(self) -> None:
        rule = {"any": [_leaf(self.chance) for _ in range(100)]}
        await self._post("preview", "/v1/segments/preview", {"rule": rule}, f"Bearer {self.target.read}")

    async def rule(self) -> None:
        deep = '{"not":' * 1_600 + '{"trait":"x","eq":1}' + "}" * 1_600  # deeper than `json` writes
        wide = {"all": [{"trait": f"t{n}", "eq": n} for n in range(20_000)]}
        long = {"trait": "x", "in": list(range(100_000))}
        where = {"event": "a", "where": [{"property": f"p{n}", "gte": n} for n in range(2_000)], "count": {"gte": 1}}
        for rule in (deep, *map(json.dumps, (wide, long, where))):
            for path, id in (("/v1/segments/preview", ""), ("/v1/segments", '"id":"attack",')):
                body = f'{{{id}"rule":{rule}}}'
                await self._send("rule over a limit", path, body.encode(), f"Bearer {self.target.write}")

    async def guess(self) -> None:
        token = f"smg_at_{self.chance.randrange(10**8):08}_guess"
        await self._post("wrong token", "/v1/segments/preview", {"rule": {}}, f"Bearer {token}")

    async def stream(self) -> None:
        reader, writer = await self._connect()
        try:
            path = f"/v1/segments/{self.target.segment}/stream"
            writer.write(self._head("GET", path, f"Authorization: Bearer {self.target.read}", "Content-Length: 0"))
            status = await _status(reader)
            self._note("stream", status)
            while status == 200 and await reader.read(4_000):
                pass
        finally:
            writer.close()
        await asyncio.sleep(1)

    # --- the collector, with a public key

    async def new_traits(self) -> None:
        n = self.chance.randrange(10**9)
        batch = [
            {"type": "identify", "userId": "victim", "messageId": f"t{n}-{k}",
             "traits": {f"t{n}_{k}_{j}": j for j in range(self.plan.traits)}}
            for k in range(40)
        ]  # fmt: skip
        await self._post("new traits", "/v1/batch", {"batch": batch}, _basic())

    async def new_types(self) -> None:
        n = self.chance.randrange(10**9)
        batch = [
            {"type": "track", "event": f"E{n}-{k}", "userId": "victim", "messageId": f"e{n}-{k}"} for k in range(1_000)
        ]
        await self._post("new event names", "/v1/batch", {"batch": batch}, _basic())

    async def new_people(self) -> None:
        n = self.chance.randrange(10**9)
        batch = [{"type": "page", "anonymousId": f"a{n}-{k}", "messageId": f"p{n}-{k}"} for k in range(200)]
        await self._post("new people", "/v1/batch", {"batch": batch}, _basic())
        await asyncio.sleep(0.5)

    async def _post(self, kind: str, path: str, body: object, authorization: str) -> None:
        await self._send(kind, path, json.dumps(body).encode(), authorization)

    async def _send(self, kind: str, path: str, content: bytes, authorization: str) -> None:
        length = f"Content-Length: {len(content)}"
        head = self._head("POST", path, f"Authorization: {authorization}", "Content-Type: application/json", length)
        reader, writer = await self._connect()
        try:
            writer.write(head + content)
            with suppress(ConnectionError):
                await writer.drain()
            self._note(kind, await _status(reader, 120))
        finally:
            writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(HOST, self.target.port)

    def _head(self, method: str, path: str, *headers: str) -> bytes:
        return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: attack.example", *headers, "", ""]).encode()

    def _note(self, kind: str, what: object) -> None:
        self.told[kind][str(what)] += 1


async def _status(reader: asyncio.StreamReader, seconds: float = 30) -> int | str:
    try:
        line = await asyncio.wait_for(reader.readline(), seconds)
    except TimeoutError:
        return "no answer"
    parts = line.split()
    return int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else "closed"


def _leaf(chance: random.Random) -> dict[str, Any]:
    where = [{"property": f"p{chance.randrange(9)}", "gte": chance.randrange(9)} for _ in range(3)]
    return {"event": f"custom.e{chance.randrange(999)}", "where": where, "count": {"gte": 1}, "within": "30d"}


def _basic() -> str:
    return "Basic " + base64.b64encode(f"{WRITE_KEY}:".encode()).decode()


def command(target: Target, plan: Plan, seconds: float) -> list[str]:
    """Runs this module."""
    return [sys.executable, "-m", "tests.hostile.attack", json.dumps([asdict(target), asdict(plan), seconds])]


def main() -> None:
    target, plan, seconds = json.loads(sys.argv[1])
    attack = Attack(Target(**target), Plan(**plan))
    running: Coroutine[Any, Any, None] = attack.run(seconds)
    asyncio.run(running)
    print(json.dumps(attack.told))


if __name__ == "__main__":
    main()
