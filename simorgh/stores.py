"""Opening what the settings name beside the log: the warehouse, and the turns that heavy queries take on it."""

from profile_api.heavy import Heavy
from simorgh.settings import Settings
from warehouse.client import Warehouse
from warehouse.reader import Reader


def open_warehouse(settings: Settings) -> Warehouse:
    """What the settings name. Connects at the first use."""
    return Warehouse(
        settings.warehouse_dsn,
        settings.workspace,
        read_dsn=settings.warehouse_read_dsn,
        cluster=settings.clickhouse_cluster,
    )


def heavy_queries(settings: Settings, reader: Reader) -> Heavy:
    return Heavy(settings.query_workers, settings.query_queue, settings.query_seconds, reader.call_off)
