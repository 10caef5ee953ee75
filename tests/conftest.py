"""Fixtures for all tests.

chDB opens one folder per process, so the tests of one run share it, each in databases of its own.
"""

import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import clickhouse_connect
import pytest

from tests.clickhouse.process import BridgeProcess
from tests.hosts import Hosts
from tests.shell_programs import quick_simorgh

if TYPE_CHECKING:
    from deploy.kafka.broker import Broker
    from tests.properties.installation import House, MakeHouse
    from tests.properties.pipeline_world import Box, MakeBox


_LONG = ("cluster", "deploy", "e2e", "integration", "contracts", "clickhouse", "properties")
"""Folders whose files take longest, these first: a long file that begins last keeps one process busy at the end."""


_OWN_THREADS = ("kafka-io-", "log-keeper", "log-delivery", "load")
"""Threads of a log on Kafka and of a load on one. They go on forever, look for a broker that is gone, and draw from
`random`, which fails Hypothesis in later tests of the process."""


_MEMORY: Final = Path("/dev/shm")
_ROOM: Final = 4 << 30
"""Bytes that must be free there."""


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Hosts())
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        # Shells start what runs in the background so, and programs that tests interrupt would inherit it.
        signal.signal(signal.SIGINT, signal.default_int_handler)


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
    """Order files for `make test`, which runs them side by side; within a file, tests keep their order.

    A folder's files are spread among the others': three clusters at once are too many for two cores.
    """
    folders: dict[str, list[Path]] = {}
    for path in dict.fromkeys(item.path for item in items):
        folders.setdefault(path.parent.name, []).append(path)
    place = {
        path: (folder not in _LONG, n / len(paths)) for folder, paths in folders.items() for n, path in enumerate(paths)
    }
    items.sort(key=lambda item: place[item.path])


@pytest.fixture(scope="session")
def in_memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for what is written and never read after a power cut: in memory where the machine has such a place.

    The laws write thousands of small parts and commits, and would wait for the disk most of the time.
    """
    if not (os.access(_MEMORY, os.W_OK) and Path("/proc").is_dir()) or shutil.disk_usage(_MEMORY).free < _ROOM:
        yield tmp_path_factory.mktemp("in-memory")
        return
    for left in _MEMORY.glob("simorgh-tests-*"):  # by runs that were killed
        if not Path("/proc", left.name.rpartition("-")[2]).exists():
            shutil.rmtree(left, ignore_errors=True)
    folder = _MEMORY / f"simorgh-tests-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def chdb_dsn(in_memory: Path) -> Iterator[str]:
    """The engine of this run, open until its end: for `Warehouse(chdb_dsn, workspace)` and plain clients."""
    dsn = f"chdb://{in_memory / 'chdb'}"
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
def make_box(chdb_dsn: str, in_memory: Path) -> "MakeBox":
    """Makes a box (see `pipeline_world`) for the length of a `with`."""
    return _box_maker(chdb_dsn, in_memory)


@pytest.fixture(scope="session", params=["box", "cluster"])
def make_house(request: pytest.FixtureRequest, chdb_dsn: str, in_memory: Path) -> "MakeHouse":
    """Makes an installation of each size (see `installation`) for the length of a `with`: what holds, holds on both."""
    return _house_maker(request.param, chdb_dsn, in_memory)


@pytest.fixture(scope="session")
def make_server_box(server_dsn: str, in_memory: Path) -> "MakeBox":
    """Makes a box whose warehouse is a server."""
    return _box_maker(server_dsn, in_memory)


@pytest.fixture(scope="session")
def make_cluster_box(tmp_path_factory: pytest.TempPathFactory, in_memory: Path) -> "Iterator[MakeBox]":
    """Makes a box whose tables are Distributed ones."""
    made = BridgeProcess(tmp_path_factory.mktemp("cluster") / "data", cluster="simorgh")
    yield _box_maker(made.url, in_memory, cluster="simorgh")
    made.stop()


def _box_maker(dsn: str, parent: Path, **fixed: Any) -> "MakeBox":
    from tests.properties.pipeline_world import Box  # only where it is used: it imports the whole house

    folder = Path(tempfile.mkdtemp(prefix="logs-", dir=parent))

    @contextmanager
    def make(**settings: Any) -> "Iterator[Box]":
        box = Box(dsn, folder, **fixed, **settings)
        try:
            yield box
        finally:
            box.close()

    return make


def _house_maker(host: str, dsn: str, parent: Path) -> "MakeHouse":
    from tests.properties.cluster_world import Cluster  # as above
    from tests.properties.pipeline_world import Box

    folder = Path(tempfile.mkdtemp(prefix=f"{host}-", dir=parent))
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


@pytest.fixture(scope="session")
def quick_programs() -> Iterator[Path]:
    """A folder with a quick `simorgh`, for shells."""
    with quick_simorgh() as folder:
        yield folder
