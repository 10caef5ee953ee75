"""Fixtures for all tests.

chDB opens one folder per process, so the tests of one run share it, each in databases of its own.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import clickhouse_connect
import pytest

from tests.clickhouse.process import BridgeProcess

if TYPE_CHECKING:
    from deploy.kafka.broker import Broker
    from tests.properties.installation import House, MakeHouse
    from tests.properties.pipeline_world import Box, MakeBox


_LONG = ("cluster", "deploy", "e2e", "integration", "contracts", "clickhouse", "properties")
"""Folders whose files take longest, these first: a long file that begins last keeps one process busy at the end."""


_OWN_THREADS = ("kafka-io-", "log-keeper", "log-delivery", "load")
"""Threads of a log on Kafka and of a load on one. They go on forever, look for a broker that is gone, and draw from
`random`, which fails Hypothesis in later tests of the process."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Refuse parameters that come in another order in each process: pytest-xdist wants the same tests everywhere."""
    for mark in metafunc.definition.iter_markers("parametrize"):
        if any(isinstance(values, set | frozenset) for values in mark.args[1:2]):
            raise pytest.UsageError(f"{metafunc.definition.nodeid}: parameters from a set; sort them")


@pytest.fixture(autouse=True)
def _no_threads_left() -> Iterator[None]:
    """A test closes what it opened, when it fails, too."""
    before = set(threading.enumerate())
    yield
    left = [one for one in threading.enumerate() if one.name.startswith(_OWN_THREADS) and one not in before]
    for thread in left:
        thread.join(10)
    assert not [thread.name for thread in left if thread.is_alive()], "threads of a log that was not closed"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order files for `make test`, which runs them side by side; within a file, tests keep their order."""
    rank = {folder: n for n, folder in enumerate(_LONG)}
    items.sort(key=lambda item: rank.get(item.path.parent.name, len(_LONG)))


@pytest.fixture(scope="session")
def chdb_dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The engine of this run, open until its end: for `Warehouse(chdb_dsn, workspace)` and plain clients."""
    dsn = f"chdb://{tmp_path_factory.mktemp('chdb')}"
    client = clickhouse_connect.get_client(dsn=dsn)
    yield dsn
    client.close()


@pytest.fixture(scope="session")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BridgeProcess]:
    """A server of this run, with an engine and a folder of its own. Who makes it ill makes it well again."""
    made = BridgeProcess(tmp_path_factory.mktemp("clickhouse"))
    yield made
    made.stop()


@pytest.fixture(scope="session")
def server_dsn(bridge: BridgeProcess) -> str:
    """Like `chdb_dsn`, over HTTP."""
    return bridge.url


@pytest.fixture(scope="session")
def make_box(chdb_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> "MakeBox":
    """Makes a box (see `pipeline_world`) for the length of a `with`."""
    return _box_maker(chdb_dsn, tmp_path_factory)


@pytest.fixture(scope="session", params=["box", "cluster"])
def make_house(request: pytest.FixtureRequest, chdb_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> "MakeHouse":
    """Makes an installation of each size (see `installation`) for the length of a `with`: what holds, holds on both."""
    return _house_maker(request.param, chdb_dsn, tmp_path_factory)


@pytest.fixture(scope="session")
def make_server_box(server_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> "MakeBox":
    """Makes a box whose warehouse is a server."""
    return _box_maker(server_dsn, tmp_path_factory)


@pytest.fixture(scope="session")
def make_cluster_box(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[MakeBox]":
    """Makes a box whose tables are Distributed ones."""
    made = BridgeProcess(tmp_path_factory.mktemp("cluster") / "data", cluster="simorgh")
    yield _box_maker(made.url, tmp_path_factory, cluster="simorgh")
    made.stop()


def _box_maker(dsn: str, tmp_path_factory: pytest.TempPathFactory, **fixed: Any) -> "MakeBox":
    from tests.properties.pipeline_world import Box  # only where it is used: it imports the whole house

    folder = tmp_path_factory.mktemp("logs")

    @contextmanager
    def make(**settings: Any) -> "Iterator[Box]":
        box = Box(dsn, folder, **fixed, **settings)
        try:
            yield box
        finally:
            box.close()

    return make


def _house_maker(host: str, dsn: str, tmp_path_factory: pytest.TempPathFactory) -> "MakeHouse":
    from tests.properties.cluster_world import Cluster  # as above
    from tests.properties.pipeline_world import Box

    folder = tmp_path_factory.mktemp(host)
    kind: type[Box | Cluster] = Box if host == "box" else Cluster

    @contextmanager
    def make(**settings: Any) -> "Iterator[House]":
        house = kind(dsn, folder, **settings)
        try:
            yield house
        finally:
            house.close()

    return make


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Broker]":
    """A real broker, running until the end of the run. Tests that kill one start their own."""
    from tests.kafka.fixtures import running_broker

    with running_broker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker
