"""Opened first by each role of a cluster: the log, the secret, and the declarations, which it follows until the end."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from eventlog.kafka.client import Connection
from eventlog.port import EventLog
from eventlog.watched import WatchedLog
from privacy.keyring import Keyring
from privacy.log import SealedLog
from schemas.errors import InvalidSettings
from simorgh import __version__, data_keys, loglines
from simorgh.counts import MinuteCounts
from simorgh.datadir import keep_files_private
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
    keyring: Keyring
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
    keep_files_private()
    log: EventLog = open_cluster_log(settings)
    try:
        secret = of_cluster(settings, log)
        keyring = data_keys.of_cluster(settings, log, secret)
        log = SealedLog(log, keyring)
        watched = WatchedLog(log)
        declarations = DeclarationsFollower(watched, settings, secret, keyring)
    except BaseException:
        log.close()
        raise
    counts = MinuteCounts(watched)
    try:
        declarations.registry.refresh()
        declarations.follow()
        counts.start()
        _LOG.info("starts: version %s, process %d, log on %s", __version__, os.getpid(), settings.kafka.bootstrap)
        yield Base(settings.kafka, watched, secret, keyring, declarations)
        _LOG.info("stops: was told to")
    finally:
        counts.stop()
        declarations.close()
        log.close()
        loglines.end()
