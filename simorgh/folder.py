"""Commands' own work on a folder or its stores. Work through the API is in `simorgh.deployment`."""

from schemas.errors import InvalidSettings
from simorgh import loglines, secret
from simorgh.datadir import keep_files_private, taken
from simorgh.deployment import require_there
from simorgh.logs import OneBox, open_cluster_log, open_keys_topic
from simorgh.settings import Settings
from simorgh.stores import open_warehouse
from stream_processors.host import generation
from warehouse.client import OtherTables
from warehouse.connect import is_server
from warehouse.ddl import table_names


def migrate(settings: Settings) -> str:
    """Create missing topics on Kafka, and missing tables of the live generation; returns where. May run twice. On one
    machine the folder must be free; on a ClickHouse server tables may be created before there is a folder.
    """
    loglines.begin_of_command(settings)
    if settings.kafka is not None:
        return _migrate_cluster(settings)
    if not settings.log_path.exists():
        if not is_server(settings.warehouse_dsn):
            require_there(settings)
        return _migrate_tables(settings, 1)
    keep_files_private()
    with taken(settings.data):
        log = OneBox(settings, "migrate").open_log()
        try:
            return _migrate_tables(settings, generation.current(log))
        finally:
            log.close()


def renew_secret(settings: Settings) -> None:
    """Give a free folder's log a new secret, since the old one is lost. Raises `Conflict` if it is not."""
    require_there(settings)
    keep_files_private()
    with taken(settings.data) as folder:
        log = OneBox(settings, "secret renew").open_log()
        try:
            secret.renew(settings, folder, log)
        finally:
            log.close()


def _migrate_cluster(settings: Settings) -> str:
    if not is_server(settings.warehouse_dsn):
        raise InvalidSettings(
            "SIMORGH_CLICKHOUSE: wanted a server, since this is a cluster, got none; set it to http://host:port"
        )
    log = open_cluster_log(settings)
    try:
        open_keys_topic(settings).close()
        return _migrate_tables(settings, generation.current(log))
    except OtherTables as error:
        return f"topics; the tables in {error.database} are of another version, which the workers rebuild"
    finally:
        log.close()


def _migrate_tables(settings: Settings, number: int) -> str:
    warehouse = open_warehouse(settings)
    try:
        warehouse.migrate(number)
    finally:
        warehouse.close()
    return f"{len(table_names())} tables in {warehouse.database(number)} at {warehouse.address}"
