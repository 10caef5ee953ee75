"""The fixtures `world`, `live` and `make_world`, for modules with `pytest_plugins = ("tests.unit.api_fixtures",)`.

The warehouse lives as long as a test module; its database is dropped after it.
"""

import threading
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from eventlog.sqlite import SqliteEventLog
from profile_api.app import create_api
from profile_api.deps import ApiDeps, Projections
from profile_api.watch import watch
from registry.registry import Registry
from registry.throttle import Throttle
from schemas import topics
from tests.unit.api_world import NOW, SECRET, TOKEN, Client, MakeWorld, World
from warehouse.client import Warehouse
from warehouse.connect import connections

_OF_PROJECTIONS = {field.name for field in fields(Projections)}


@pytest.fixture(scope="module", params=["chdb_dsn", "server_dsn"], ids=["embedded", "server"])
def dsn(request: pytest.FixtureRequest) -> str:
    """Every test of the API runs on both: the engine in process, and over HTTP."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture(scope="module")
def warehouse(dsn: str) -> Iterator[Warehouse]:
    made = Warehouse(dsn)
    made.migrate(1)
    yield made
    made.drop(1)
    made.close()


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    """One event loop for the module, in a thread of its own."""
    with start_blocking_portal() as made:
        yield made


@pytest.fixture(scope="module")
def make_world(
    dsn: str, warehouse: Warehouse, portal: BlockingPortal, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MakeWorld]:
    """Makes a world with a log of its own; settings replace those of `ApiDeps` and its
    `Projections`."""
    logs: list[SqliteEventLog] = []
    rows = connections(dsn)

    def make(**settings: Any) -> World:
        log = SqliteEventLog(tmp_path_factory.mktemp("log") / "log.db")
        logs.append(log)
        registry = Registry(log, lambda: NOW, env_token=TOKEN)
        retried: list[tuple[dict[str, Any], bytes | None]] = []

        def retry(record: dict[str, Any], payload: bytes | None) -> dict[str, Any]:
            retried.append((record, payload))
            return {"id": record["id"], "status": "accepted"}

        deps = ApiDeps(log, registry, warehouse.reader(lambda: 1), SECRET, "default", retry, lambda: NOW)
        throttle = Throttle(lambda: NOW, most=1_000_000)  # tests of rights show hundreds of wrong tokens
        projections = {name: settings.pop(name) for name in list(settings) if name in _OF_PROJECTIONS}
        deps = replace(deps, throttle=throttle, projections=Projections(**projections), **settings)
        app = create_api(deps)
        watch(app, deps.metrics)
        return World(log, warehouse, rows, registry, deps, Client(app, portal), retried)

    yield make
    rows.close()
    for log in logs:
        log.close()


@pytest.fixture(scope="module")
def shared_world(make_world: MakeWorld) -> World:
    return make_world()


@pytest.fixture
def world(shared_world: World) -> Iterator[World]:
    """Empty tables; the log and what is declared are the module's."""
    yield shared_world
    shared_world.empty()


@pytest.fixture
def fresh_world(make_world: MakeWorld) -> Iterator[World]:
    """Empty tables and an empty log."""
    made = make_world()
    yield made
    made.empty()


@pytest.fixture
def live(fresh_world: World) -> Iterator[World]:
    """A world whose registry is committed soon after it grows, as by running projections."""
    done = threading.Event()

    def follow() -> None:
        while not done.is_set():
            end = fresh_world.log.ends(topics.REGISTRY)[0]
            if fresh_world.log.committed("projections", topics.REGISTRY)[0] < end:
                fresh_world.log.commit("projections", {topics.REGISTRY: {0: end}})
            fresh_world.log.wait(topics.REGISTRY, [end], 0.05)

    thread = threading.Thread(target=follow)
    thread.start()
    yield fresh_world
    done.set()
    thread.join()
