"""Copies are found while the rows of the first ones are still on their way."""

from stream_processors.dedupe import SeenIds
from warehouse.client import Warehouse


def test_ids_on_their_way_are_known_until_they_have_landed(chdb_dsn: str) -> None:
    warehouse = Warehouse(chdb_dsn, "dedupe")
    warehouse.migrate(1)
    seen = SeenIds(warehouse.writer(1))
    for eid in (1, 2, 3):
        seen.remember({eid})
        if eid < 3:
            seen.writing()  # the second begins beside the first
    assert seen._stored([1, 2, 3, 4]) == {1, 2, 3}
    seen.landed()
    assert seen._stored([1, 2, 3, 4]) == {3}, "what has landed is asked of the table, which is empty here"
