"""Run as a program on a stopped data folder: prints, as JSON, what the raw tables hold. (One engine per process.)"""

import json
import sys
from pathlib import Path

from eventlog.sqlite import SqliteEventLog
from stream_processors.host import generation
from warehouse.client import Warehouse


def main(data: Path) -> dict[str, int]:
    log = SqliteEventLog(data / "log.sqlite")
    rows = Warehouse(f"chdb://{data / 'warehouse'}").writer(generation.current(log)).rows
    log.close()
    ((log_rows, offsets, unique),) = rows("SELECT count(), uniqExact(part, off), countIf(dup = 0) FROM log_rows FINAL")
    ((events, event_offsets),) = rows("SELECT count(), uniqExact(part, off) FROM events")
    ((amount,),) = rows("SELECT toString(sum(amount)) FROM counted")
    ((ids, id_values),) = rows("SELECT count(), uniqExact(key) FROM ids")
    return {
        "log_rows": log_rows,
        "offsets": offsets,
        "unique": unique,
        "events": events,
        "event_offsets": event_offsets,
        "amount": amount,
        "ids": ids,
        "id_values": id_values,
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
