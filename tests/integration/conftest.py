"""Fixtures of the cases of a cluster's stages."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cluster_cases import Make
from tests.properties.cluster_world import Cluster


@pytest.fixture
def make(chdb_dsn: str, in_memory: Path) -> Iterator[Make]:
    made: list[Cluster] = []
    folder = Path(tempfile.mkdtemp(prefix="cluster-", dir=in_memory))

    def new(**settings: Any) -> Cluster:
        made.append(Cluster(chdb_dsn, folder, **settings))
        return made[-1]

    yield new
    for cluster in made:
        cluster.close()
