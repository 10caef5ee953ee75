"""Opening the warehouse in the settings, and the queue of its heavy queries."""

from profile_api.heavy import Heavy
from simorgh.settings import Settings
from warehouse.client import Warehouse
from warehouse.reader import Reader


def open_warehouse(settings: Settings) -> Warehouse:
    """The warehouse in the settings. Connects at the first use."""
    return Warehouse(
        settings.warehouse_dsn,
        settings.workspace,
        read_dsn=settings.warehouse_read_dsn,
        cluster=settings.clickhouse_cluster,
    )


def heavy_queries(settings: Settings, reader: Reader) -> Heavy:
    return Heavy(settings.query_workers, settings.query_queue, settings.query_seconds, reader.call_off)
