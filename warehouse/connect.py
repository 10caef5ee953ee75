"""Handles to the engine: the embedded one lends them for a call, a server's is shared by all threads.

Settings that correctness depends on are explicit settings of the handle, since a server's defaults depend on its
version and its users' profiles.
"""

import resource
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Final, Literal, Protocol, TypeAlias
from urllib.parse import parse_qsl, urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.httpclient import HttpClient
from clickhouse_connect.driver.httputil import get_pool_manager
from urllib3 import PoolManager

from schemas.errors import Broken
from warehouse.failures import EngineError, failure

Role = Literal["admin", "write", "read", "look_up", "fill"]

Settings: TypeAlias = Mapping[str, int | str]
"""Settings of the engine, by name."""


INSERT_SETTINGS: Final[Settings] = {
    "async_insert": 0,  # a default since 26.2: an acknowledged insert must be in a part
    "deduplicate_insert": "disable",  # the insert log loses acknowledged rows under kill -9
    "insert_deduplicate": 0,
    "optimize_on_insert": 0,  # rows collapse when read or merged: no second sort of each insert
    "input_format_parallel_parsing": 0,
    "max_insert_threads": 1,
    # one insert = one block = one part: all of its rows or none
    "max_insert_block_size": 4_000_000,
    "min_insert_block_size_rows": 4_000_000,
    "min_insert_block_size_bytes": 1 << 30,
}

CLUSTER_INSERT_SETTINGS: Final[Settings] = {
    "distributed_foreground_insert": 1,  # acknowledged = in its shards' tables, not in a queue on disk
    "insert_quorum": "auto",  # … and on most replicas, so that others can read it back
}

QUERY_SETTINGS: Final[Settings] = {
    "max_execution_time": 30,
    "max_memory_usage": 4_000_000_000,
    "max_result_rows": 2_000_000,
    "result_overflow_mode": "throw",
    "max_bytes_before_external_group_by": 500_000_000,
    "max_bytes_ratio_before_external_group_by": 0,
    "readonly": 1,  # last: from here on the handle can change nothing, its own settings included
}

LOOK_UP_SETTINGS: Final[Settings] = {
    "max_threads": 1,  # a few rows by their key: starting a second thread costs as much as finding them
    **QUERY_SETTINGS,
}

FILL_SETTINGS: Final[Settings] = {
    **{name: value for name, value in QUERY_SETTINGS.items() if name not in ("max_result_rows", "readonly")},
    "max_execution_time": 600,  # a large segment, or a long fill, is not a fault
    "readonly": 1,
}

COMMON_SETTINGS: Final[Settings] = {
    "max_query_size": 64 << 20,  # long lists are in the query (`warehouse.parameters`)
    "max_ast_elements": 2_000_000,  # several times the largest segment rule that is accepted
    "max_expanded_ast_elements": 4_000_000,
    "calculate_text_stack_trace": 0,  # the first one holds every shared library open for good: some 70 descriptors
}

SERVER_SETTINGS: Final[Settings] = {
    "final": 1,  # rows that a worker wrote twice, or wrote after it had lost the partition, are one row when read
}

CLUSTER_SETTINGS: Final[Settings] = {
    "distributed_product_mode": "global",  # a subquery is answered by all shards, not by each for itself
    "optimize_skip_unused_shards": 1,  # a query with its node or profile reads only that shard
    "load_balancing": "in_order",  # all ask the same replica while it lives
}

_OF_ROLE: Final[Mapping[Role, Settings]] = {
    "read": QUERY_SETTINGS,
    "look_up": LOOK_UP_SETTINGS,
    "fill": FILL_SETTINGS,
}

_EMBEDDED_READ: Final = {
    "os_threads_nice_value_query": 10,  # senders and look-ups of profiles go first; as root only
}

_REQUIRED: Final = frozenset(
    {*SERVER_SETTINGS, *CLUSTER_SETTINGS, *INSERT_SETTINGS, *CLUSTER_INSERT_SETTINGS, "readonly"}
)

_CONNECT_SECONDS: Final = 5
_ANSWER_SECONDS: Final[Mapping[Role, int]] = {"admin": 300, "write": 300, "read": 60, "look_up": 60, "fill": 660}
FEW_DESCRIPTORS: Final = 1_024
"""A process that may open fewer files is frugal. The embedded engine keeps three open for each thread that it ever had
at once, and its threads are as many as calls at once times the threads of a call. A large part has two files for each
column, unless the engine is told to write all columns into one."""

_FRUGAL_SETTINGS: Final[Settings] = {"max_threads": 1}
_FRUGAL_CONFIGURATION: Final = Path(__file__).with_name("frugal.xml")
_FRUGAL_CALLS: Final = 12
_CALLS: Final = 64
"""Calls of the embedded engine at once; the others wait for their turn."""

_POOLED: Final = 64  # idle connections kept; more callers than these open more and close them


class Connections(Protocol):
    """Hands out clickhouse-connect clients. Any thread may call; raises `schemas.errors` if there is no engine."""

    @property
    def insert_settings(self) -> Settings:
        """The settings of each insert."""
        ...

    def handle(self, role: Role, database: str | None) -> AbstractContextManager[Client]:
        """A client for a role in a database, for one call. An exception means that the call failed."""
        ...

    def close(self) -> None: ...


def connections(dsn: str, read_dsn: str = "", cluster: str = "") -> Connections:
    """`dsn`: `chdb:///absolute/path` or `http(s)://user:password@host:port`. Connects at the first use."""
    return Server(dsn, read_dsn or dsn, cluster) if is_server(dsn) else Embedded(dsn)


def is_server(dsn: str) -> bool:
    return urlsplit(dsn).scheme in ("http", "https")


def address(dsn: str) -> str:
    """The DSN without its secrets, for people."""
    parts = urlsplit(dsn)
    if not is_server(dsn):
        return f"{parts.scheme}://{parts.path}"
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")


class Embedded:
    """Handles are lent for a call: one handle serialises its callers, several on one engine do not. There are as many
    as calls ever ran at once, and the one that was used last is lent first. (Handles of threads would outlive them:
    pools of threads come and go.)

    Calls wait where too many run already, but for those of `admin`, which may call off the others. No call makes
    another one while it runs.
    """

    insert_settings = INSERT_SETTINGS

    def __init__(self, dsn: str, *, final: bool = False, descriptors: int | None = None) -> None:
        """`final`: rows that were written twice are read once, as on a server. One machine never writes a row twice.
        `descriptors`: files that the process may have open; None asks the system."""
        self._dsn = dsn
        frugal = (descriptors or _most_descriptors()) < FEW_DESCRIPTORS
        self._settings = {**COMMON_SETTINGS, "final": int(final), **(_FRUGAL_SETTINGS if frugal else {})}
        self._options = {"config-file": str(_FRUGAL_CONFIGURATION)} if frugal else None
        self._places = threading.BoundedSemaphore(_FRUGAL_CALLS if frugal else _CALLS)
        self._free: dict[tuple[Role, str | None], list[Client]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def handle(self, role: Role, database: str | None) -> Iterator[Client]:
        with nullcontext() if role == "admin" else self._places, self._lent(role, database) as client:
            yield client

    @contextmanager
    def _lent(self, role: Role, database: str | None) -> Iterator[Client]:
        """A failed handle may still hold a part of its answer: it is closed, not lent again."""
        with self._lock:
            free = self._free.setdefault((role, database), [])
            client = free.pop() if free else None
        if client is None:
            client = self._open(role, database)
        try:
            yield client
        except BaseException:
            client.close()
            raise
        with self._lock:
            free.append(client)

    def _open(self, role: Role, database: str | None) -> Client:
        own = _EMBEDDED_READ if role in ("read", "fill") else {}
        try:
            client = clickhouse_connect.get_client(dsn=self._dsn, chdb_options=self._options)
            _set(client, self._settings)
            client.database = database  # it may be gone: an error before the settings would have a stack trace
            _set(client, {**own, **_OF_ROLE.get(role, {})})
        except EngineError as error:
            raise failure(error) from None
        return client

    def close(self) -> None:
        with self._lock:
            free, self._free = self._free, {}
        for clients in free.values():
            for client in clients:
                client.close()


def _most_descriptors() -> int:
    """To which a process raises its own limit (`simorgh.listener`)."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return sys.maxsize if hard == resource.RLIM_INFINITY else hard


def _set(client: Client, settings: Settings) -> None:
    for name, value in settings.items():
        client.command(f"SET {name} = {value!r}")


class Server:
    """One client per role and database for all threads: without a session, calls on one run side by side.

    Settings travel with every request. The libraries below send no call twice: an insert with an unknown outcome is an
    error, which the caller handles.
    """

    def __init__(self, dsn: str, read_dsn: str, cluster: str) -> None:
        self._dsns: Mapping[Role, str] = {
            "admin": dsn,
            "write": dsn,
            "read": read_dsn,
            "look_up": read_dsn,
            "fill": read_dsn,
        }
        shared = {**COMMON_SETTINGS, **SERVER_SETTINGS, **(CLUSTER_SETTINGS if cluster else {})}
        self._settings: Mapping[Role, Settings] = {
            "admin": {},
            "write": shared,
            **{role: {**shared, **settings} for role, settings in _OF_ROLE.items()},  # readonly stays last
        }
        self.insert_settings = {**INSERT_SETTINGS, **(CLUSTER_INSERT_SETTINGS if cluster else {})}
        self._pools = {one: _pool(one) for one in {dsn, read_dsn}}
        self._clients: dict[tuple[Role, str | None], Client] = {}

    @contextmanager
    def handle(self, role: Role, database: str | None) -> Iterator[Client]:
        """A failed request closes its connection; the client remains usable."""
        client = self._clients.get((role, database))
        if client is None:
            made = self._connect(role, database)  # not under a lock: it may wait for an unreachable server
            client = self._clients.setdefault((role, database), made)
        yield client

    def close(self) -> None:
        self._clients.clear()
        for pool in self._pools.values():
            pool.clear()

    def _connect(self, role: Role, database: str | None) -> Client:
        dsn = self._dsns[role]
        try:
            client = clickhouse_connect.get_client(
                dsn=dsn,
                interface=urlsplit(dsn).scheme,  # the library looks at the port only
                database=database,
                pool_mgr=self._pools[dsn],
                connect_timeout=_CONNECT_SECONDS,
                send_receive_timeout=_ANSWER_SECONDS[role],
                query_retries=0,
                autogenerate_session_id=False,
            )
        except EngineError as error:
            raise failure(error) from None
        if isinstance(client, HttpClient):
            client.http_retries = 0  # urllib3's own would also log the request, parameters and all
        for name, value in _settable(client, role, self._settings[role]).items():
            client.set_client_setting(name, value)
        if role == "write":
            _settable(client, role, self.insert_settings)  # they are sent with each insert; better to know at once
        return client


def _settable(client: Client, role: Role, wanted: Settings) -> Settings:
    """Those of `wanted` that the server's user may set. The others must be in the user's profile already. An operator's
    fixed limits on time and memory are accepted; `_REQUIRED` settings must be as wanted.
    """
    found: dict[str, int | str] = {}
    for name, value in wanted.items():
        known = client.server_settings.get(name)
        if known is None or not known.readonly:
            found[name] = value
        elif name in _REQUIRED and known.value != str(value):
            raise Broken(
                f"warehouse: wanted {name} = {value} for the {role} user, got {known.value} fixed by its profile;"
                " set it in the profile, or let the user change it (docs/clickhouse.md)"
            )
    return found


def _pool(dsn: str) -> PoolManager:
    options = dict(parse_qsl(urlsplit(dsn).query))
    verify = options.get("verify", "true").lower() not in ("false", "0", "no")
    pool: PoolManager = get_pool_manager(
        maxsize=_POOLED,
        verify=verify,
        ca_cert=options.get("ca_cert"),
        client_cert=options.get("client_cert"),
        client_cert_key=options.get("client_cert_key"),
    )
    return pool
