"""Whether an order of a file is here as it is in the file, or was corrected since."""

from pathlib import Path

import pytest

from eventlog.port import Record
from producers.door import Refused
from producers.files.correcting import EarlierImport, correction, digest_of, earlier
from producers.files.events import Event
from producers.files.importer import read_events
from producers.files.mapping import parse_mapping
from producers.files.report import Report
from producers.verdicts import cloudevent_verdict
from schemas.catalog import Catalog
from stream_processors.flow import conflicts
from tests.clients.world import NOW, make_door, make_source


@pytest.mark.parametrize("currency", ["IRT", "EUR", "Taler", ""])
@pytest.mark.parametrize("when", ["1405/09/01 10:00", "2024-07-01T10:00:00+02:00", "2099-01-01"])
def test_what_the_log_holds_has_the_digest_of_what_was_sent(tmp_path: Path, currency: str, when: str) -> None:
    path = tmp_path / "till.csv"
    path.write_text(f"no,when,mobile,item,n,each,cur\n1,{when},09121112233,tea,0.75,2.99,{currency}\n")
    mapping = parse_mapping(
        {
            "name": "till",
            "channel": "pos",
            "region": "IR",
            "document": {"column": "no"},
            "time": {"column": "when", "zone": "Asia/Tehran"},
            "identifiers": [{"column": "mobile", "type": "phone"}],
            "line": {"sku": "item", "quantity": "n", "price": "each"},
            "order": {"currency": "cur"},
        }
    )
    [event] = read_events(path, mapping, Report())
    verdict = cloudevent_verdict(make_door(), Catalog.load(), lambda: "x", event, source=make_source(), received_at=NOW)
    assert not isinstance(verdict, Refused), verdict
    assert conflicts.digest_of(Record(0, 0, verdict[0], verdict[1], NOW)) == digest_of(event)


def test_the_last_correction_is_what_the_file_is_compared_with() -> None:
    def order(total: int, type_: str = "order.completed") -> Event:
        return {"id": "1", "type": type_, "data": {"properties": {"total": total}}}

    here: dict[str, str | None] = {}

    def ask(events: list[Event]) -> list[tuple[bool, str | None]]:
        return [(event["id"] in here, here.get(event["id"])) for event in events]

    assert earlier([order(5)], ask) == [EarlierImport()]
    here["1"] = digest_of(order(5))
    assert earlier([order(5), order(6)], ask) == [EarlierImport(True, True), EarlierImport(True, False)]
    here["1/corrected/1"] = digest_of(order(6))
    assert earlier([order(6), order(5)], ask) == [EarlierImport(True, True, 1), EarlierImport(True, False, 1)]
    assert correction(order(5), 2)["id"] == "1/corrected/2"
    assert earlier([order(6, "order.refunded")], ask) == [EarlierImport(True, False)], "only orders are corrected"
    here["1"] = None
    del here["1/corrected/1"]
    assert earlier([order(7)], ask) == [EarlierImport(True, True)], "nobody can say what it was"
