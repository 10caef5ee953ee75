"""Opened first by each role of a cluster: the log, the secret, and the declarations, which it follows until the end."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from eventlog.kafka.client import Connection
from eventlog.watched import WatchedLog
from schemas.errors import InvalidSettings
from simorgh import __version__, loglines
from simorgh.counts import MinuteCounts
from simorgh.interpreter import tune_interpreter
from simorgh.logs import open_cluster_log
from simorgh.secret import of_cluster
from simorgh.settings import Settings
from simorgh.shared import DeclarationsFollower

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Base:
    """Opened first by each role of a cluster."""

    kafka: Connection
    log: WatchedLog
    secret: bytes
    declarations: DeclarationsFollower


def require_cluster(settings: Settings) -> None:
    """Raises `InvalidSettings` that names all that a role lacks."""
    missing = []
    if settings.kafka is None:
        missing.append("SIMORGH_LOG=kafka://host:port")
    if not settings.warehouse_dsn.startswith("http"):
        missing.append("SIMORGH_CLICKHOUSE=http://host:port")
    if settings.secret is None:
        missing.append("SIMORGH_SECRET (64 hexadecimal digits, the same in all roles; `openssl rand -hex 32`)")
    if missing:
        raise InvalidSettings(f"settings: wanted {', '.join(missing)} for the roles of a cluster, got none; set them")


@contextmanager
def opened(settings: Settings) -> Iterator[Base]:
    """Log and declarations, followed until the end. Raises `InvalidSettings` before anything is opened."""
    require_cluster(settings)
    assert settings.kafka is not None
    loglines.begin(settings)
    tune_interpreter()
    log = WatchedLog(open_cluster_log(settings))
    try:
        secret = of_cluster(settings, log)
        declarations = DeclarationsFollower(log, settings, secret)
    except BaseException:
        log.close()
        raise
    counts = MinuteCounts(log)
    try:
        declarations.registry.refresh()
        declarations.follow()
        counts.start()
        _LOG.info("starts: version %s, process %d, log on %s", __version__, os.getpid(), settings.kafka.bootstrap)
        yield Base(settings.kafka, log, secret, declarations)
        _LOG.info("stops: was told to")
    finally:
        counts.stop()
        declarations.close()
        log.close()
        loglines.end()
