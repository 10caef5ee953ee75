"""The events of a file as CloudEvents, and the record of rows that cannot become one. Shared by all kinds of files."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

import orjson

from producers.files.lines import kept_bytes
from producers.files.reader import Row
from schemas.clock import iso

Event = dict[str, Any]
"""A CloudEvent in JSON's structured form."""

REFUSED: Final = "custom.rows_refused"
"""The type of rows that cannot become an event. Every door refuses such an event and keeps it."""

PART_BYTES: Final = 24_000
"""The bytes of products, or of refused rows, in one event. An event may have 32 KB, and an invoice a thousand lines.
The rest follows in further events, so that nothing is lost and no total is doubled."""

Identifiers = Iterable[tuple[str, str]]


class Maker:
    """Makes the events of one import. Their `source` names the mapping, so that their ids are unique within it."""

    def __init__(self, name: str, channel: str, file: str, columns: Sequence[str], shift_ms: int = 0) -> None:
        self._source = f"/files/{channel}/{name}"
        self._channel = channel
        self._file = file
        self._columns = columns
        self._shift = shift_ms

    def event(
        self,
        id: str,
        type_: str,
        time: int | None,
        identifiers: Identifiers,
        properties: Mapping[str, Any],
        traits: Mapping[str, Any] | None = None,
    ) -> Event:
        data: dict[str, Any] = {
            "identifiers": [{"type": kind, "value": value} for kind, value in identifiers if value],
            "properties": properties,
        }
        if traits:
            data["traits"] = traits
        made = {"specversion": "1.0", "id": id, "source": self._source, "type": type_}
        if time is not None:
            made["time"] = iso(time + self._shift)
        return made | {"channel": self._channel, "data": data}

    def refused(self, id: str, faults: Iterable[str], rows: Sequence[Row]) -> Iterator[Event]:
        """Rows that cannot be used, as events that will be rejected and kept: one; several, numbered from 2 on, where
        the rows are too many for one."""
        reasons = ", ".join(dict.fromkeys(faults))
        places = f"row {rows[0].number}" if len(rows) == 1 else f"rows {rows[0].number} to {rows[-1].number}"
        id = f"{id.encode(errors='backslashreplace').decode()}/refused"  # an id may hold bad bytes
        for part, kept in enumerate(parts([self._kept(row) for row in rows]), start=1):
            yield {
                "specversion": "1.0",
                "id": id if part == 1 else f"{id}/{part}",
                "source": self._source,
                "type": REFUSED,
                "channel": self._channel,
                "refused": f"{self._file}, {places}: {reasons}; correct the file and import it again",
                "data": {"file": self._file, "rows": kept},
            }

    def refused_row(self, fault: str, row: Row) -> Iterator[Event]:
        """A row without an id of its own. Its number alone would be that of a row of another file, too."""
        digest = blake2b(orjson.dumps(self._kept(row)), digest_size=6).hexdigest()
        return self.refused(f"row {row.number}~{digest}", [fault], [row])

    def _kept(self, row: Row) -> dict[str, Any]:
        """A row as it is in the file: its bytes if it could not be parsed, else its cells."""
        if row.raw is not None:
            return {"row": row.number} | kept_bytes(row.raw)
        cells = zip(self._columns, row.values, strict=False)
        return {"row": row.number, "cells": {name: _printed(cell) for name, cell in cells}}


def _printed(cell: object) -> str:
    """A text in Unicode: bytes that are not in the file's encoding become question marks (their row keeps them)."""
    return str(cell).encode(errors="replace").decode()


def parts(things: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The things cut into lists that each fit into one event; at least one list."""
    if len(orjson.dumps(things)) <= PART_BYTES:
        return [things]
    cut: list[list[dict[str, Any]]] = [[]]
    room = PART_BYTES
    for thing in things:
        size = len(orjson.dumps(thing)) + 1
        if size > room and cut[-1]:
            cut.append([])
            room = PART_BYTES
        cut[-1].append(thing)
        room -= size
    return cut


@lru_cache(8_192)
def as_number(exact: Decimal) -> int | float:
    """The JSON number that reads back as exactly this decimal. Raises `ValueError` if there is none."""
    if exact == exact.to_integral_value():
        if abs(exact) < 2**53:
            return int(exact)
    elif Decimal(repr(number := float(exact))) == exact:
        return number
    raise ValueError("amount_not_exact")
