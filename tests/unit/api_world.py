"""A small world for the API's tests: a real log, a real warehouse with rows written by hand, the app."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import httpx
import orjson
import pyarrow as pa
from anyio.from_thread import BlockingPortal
from fastapi import FastAPI

from eventlog.sqlite import SqliteEventLog
from identity.nodes import node_of, to_hex
from identity.normalise import normalise
from profile_api.deps import ApiDeps
from profile_api.recording import settle
from registry.registry import Registry
from schemas import topics
from schemas.clock import iso
from warehouse.client import Warehouse, Writer
from warehouse.connect import Connections

SECRET = b"0123456789abcdef"
NOW = 1_714_564_800_000
TOKEN = "a-token-with-every-scope"


def node(kind: str, value: str) -> int:
    return node_of(SECRET, "default", kind, normalise(kind, value))


def moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


class Client:
    """Calls the app in process, without a socket; an error in it is answered as it would be over the wire."""

    def __init__(self, app: FastAPI, portal: BlockingPortal) -> None:
        self._app, self._portal = app, portal
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app, raise_app_exceptions=False),
            base_url="http://api.test",
            headers={"Authorization": f"Bearer {TOKEN}"},
        )

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self._portal.call(partial(self._client.request, method, path, **more))

    def settle(self) -> None:
        """The log has every entry of the audit."""
        self._portal.call(settle, self._app)

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.request("GET", path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        return self.request("POST", path, **more)

    def put(self, path: str, **more: Any) -> httpx.Response:
        return self.request("PUT", path, **more)

    def delete(self, path: str, **more: Any) -> httpx.Response:
        return self.request("DELETE", path, **more)


@dataclass
class World:
    """Rows are written as the projections would write them, by `connections` to the same engine; `client` sends a token
    with every scope."""

    log: SqliteEventLog
    warehouse: Warehouse
    connections: Connections
    registry: Registry
    deps: ApiDeps
    client: Client
    retried: list[tuple[dict[str, Any], bytes | None]] = field(default_factory=list)
    offsets: int = 0
    written: set[str] = field(default_factory=set)

    @property
    def writer(self) -> Writer:
        return self.warehouse.writer(1)

    def insert(self, table: str, columns: list[str], rows: list[tuple[Any, ...]]) -> None:
        """Rows of plain values; UInt128 columns as ints."""
        self.written.add(table)
        with self.connections.handle("write", self.warehouse.database(1)) as client:
            client.insert(table, rows, column_names=columns)

    def person(
        self,
        *identifiers: tuple[str, str],
        traits: dict[str, Any] | None = None,
        segments: dict[str, int] | None = None,
        ver: int = 1,
        **row: Any,
    ) -> int:
        """A live profile founded by its first identifier. Returns the profile."""
        nodes = [node(kind, value) for kind, value in identifiers]
        profile = nodes[0]
        self.belong(nodes, profile, ver)
        self.insert(
            "identifiers",
            ["node", "type", "value", "first_seen", "last_seen"],
            [
                (node(kind, value), kind, normalise(kind, value), moment(NOW - 5000), moment(NOW - 1000))
                for kind, value in identifiers
            ],
        )
        self.row(profile, identifiers, traits or {}, ver, segments=segments or {}, **row)
        for n, (segment, entered) in enumerate((segments or {}).items()):
            self.enter(profile, segment, entered, n)
        return profile

    def belong(self, nodes: list[int], profile: int, ver: int) -> None:
        self.insert("identity", ["node", "profile", "ver"], [(one, profile, ver) for one in nodes])
        self.insert("members", ["profile", "node", "live", "ver"], [(profile, one, 1, ver) for one in nodes])

    def leave(self, nodes: list[int], profile: int, ver: int) -> None:
        self.insert("members", ["profile", "node", "live", "ver"], [(profile, one, 0, ver) for one in nodes])

    def row(
        self,
        profile: int,
        identifiers: Any,
        traits: dict[str, Any],
        ver: int,
        *,
        live: int = 1,
        segments: Mapping[str, int] = {},
        **given: Any,
    ) -> None:
        provenance = {name: {"source": "shop", "channel": "web", "time": iso(NOW - 5000)} for name in traits}
        row = {
            "profile": profile,
            "ver": ver,
            "live": live,
            "traits": orjson.dumps(traits).decode(),
            "provenance": orjson.dumps(provenance).decode(),
            "consent": '{"marketing":true}',
            "identities.type": [kind for kind, _ in identifiers],
            "identities.value": [normalise(kind, value) for kind, value in identifiers],
            "identities.first_seen": [moment(NOW - 5000) for _ in identifiers],
            "identities.last_seen": [moment(NOW - 1000) for _ in identifiers],
            "counts": {"order.completed": 3, "page.viewed": 9},
            "events": 12,
            "orders": 3,
            "orders_placed": 4,
            "revenue": {"EUR": Decimal("361.500000"), "USD": Decimal("120.000000")},
            "refunds": {},
            "first_seen": moment(NOW - 5000),
            "last_seen": moment(NOW - 1000),
            "name": str(traits.get("name", "")).lower(),
            "email": str(traits.get("email", "")).lower(),
            "segments": sorted(segments),
            "due": moment(10_390_000_000_000),
        } | given
        self.insert("profile_rows", list(row), [tuple(row.values())])
        entered = [moment(segments[segment]) for segment in sorted(segments)]
        shown = {name: row[name] for name in ("profile", "ver", "live", "segments")}
        shown |= {"view": _view(row), "entered": entered}
        self.insert("views", list(shown), [tuple(shown.values())])

    def enter(self, profile: int, segment: str, at: int, off: int, kind: str = "entered") -> None:
        self.insert(
            "transitions",
            ["profile", "segment", "off", "kind", "at", "cause", "entered_at"],
            [(profile, segment, off, kind, moment(at), "event", moment(at))],
        )
        self.insert(
            "memberships",
            ["segment", "profile", "member", "entered_at", "ver"],
            [(segment, profile, int(kind == "entered"), moment(at), off)],
        )

    def events(
        self, anchor: int, times: list[int], kind: str = "page.viewed", *, logged: bool = False, **more: Any
    ) -> list[str]:
        """Events of a node; with `logged`, also in the log and as read by the projections. Returns their
        ids. `more`: of the envelope.
        """
        ids, rows = [], []
        for time in times:
            offset, self.offsets = self.offsets, self.offsets + 1
            envelope = {
                "id": f"e{offset}",
                "source": "/sources/shop",
                "type": kind,
                "time": iso(time),
                "received_at": iso(time),
                "channel": "web",
                "properties": {"n": offset},
                "identifiers": [{"type": "user_id", "value": "U", "normalised": "U", "node": to_hex(anchor)}],
                **more,
            }
            payload = orjson.dumps(envelope).decode()
            ids.append(f"e{offset}")
            key = offset ^ 0xFF  # of one moment the earlier offset is the newer event
            rows.append((anchor, moment(time), moment(time), 0, key, "shop", kind, 0, offset, Decimal(0), "", payload))
            if logged:
                self.log.append(topics.EVENTS, [(ids[-1].encode(), payload.encode())])
        columns = ["node", "time", "received_at", "place", "key", "source", "type", "part", "off"]
        self.insert("events", [*columns, "amount", "currency", "payload"], rows)
        return ids

    def reject(
        self,
        name: str,
        payload: bytes,
        *,
        code: str = "not_json",
        ver: int = 1,
        resolved: int = 0,
        source: str = "shop",
    ) -> None:
        digest = int.from_bytes(payload[:8].ljust(8, b"\0"), "little")
        self.written.add("rejected")
        self.writer.insert(
            "rejected",
            pa.table(
                {
                    "id": [name],
                    "digest": pa.array([digest], pa.uint64()),
                    "code": [code],
                    "reason": ["body: wanted JSON, got another text; send JSON"],
                    "source": [source],
                    "channel": ["web"],
                    "received_at": pa.array([NOW + len(name)], pa.timestamp("ms", "UTC")),
                    "payload": pa.array([payload], pa.binary()),
                    "resolved": pa.array([resolved], pa.uint8()),
                    "ver": pa.array([ver], pa.uint64()),
                }
            ),
        )

    def catch_up(self) -> None:
        """Commit every group to the log's ends, as idle projections would."""
        for group in ("projections", "triggers", "rejected"):
            ends = {topic: dict(enumerate(self.log.ends(topic))) for topic in topics.ALL}
            self.log.commit(group, ends)

    def empty(self) -> None:
        for table in self.written:
            self.writer.command(f"TRUNCATE TABLE {table}")
        self.written.clear()


MakeWorld = Callable[..., World]
"""Makes a world with a log of its own; settings replace those of `ApiDeps` and its `Projections`."""


def _view(row: Mapping[str, Any]) -> str:
    """What the pipeline writes beside the columns."""
    ms = {name: int(row[name].timestamp() * 1000) for name in ("first_seen", "last_seen")}
    names = ("type", "value", "first_seen", "last_seen")
    identifiers = [
        [kind, value, int(first.timestamp() * 1000), int(last.timestamp() * 1000)]
        for kind, value, first, last in zip(*(row[f"identities.{name}"] for name in names), strict=True)
    ]
    return orjson.dumps(
        {
            "traits": orjson.loads(row["traits"]),
            "consent": orjson.loads(row["consent"]),
            **{name: row[name] for name in ("counts", "events", "orders", "orders_placed")},
            **{name: {c: str(amount) for c, amount in row[name].items()} for name in ("revenue", "refunds")},
            **ms,
            "identifiers": sorted(identifiers),
        }
    ).decode()


def call(world: World, method: str, path: str, body: Any = None, status: int = 200) -> Any:
    answer = world.client.request(method, path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


def get(world: World, path: str, status: int = 200) -> Any:
    return call(world, "GET", path, status=status)


def sara(world: World) -> int:
    return world.person(
        ("user_id", "u42"),
        ("email", "sara@example.com"),
        traits={"email": "sara@example.com", "name": "Sara K"},
        segments={"repeat-buyers": NOW - 4000},
    )
