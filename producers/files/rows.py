"""Rows of a file to events, one each: people, accounts, leads, and events of any type.

A row's id is its own (`id`), or made of its content. So the same row sent again is a copy, and a changed row is a new
event. A cell that cannot be read is left out and reported; a row that is nobody's, or has no time where one is needed,
is refused and kept.
"""

from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import orjson

from producers.files.events import Event, Maker
from producers.files.mapping import RowMapping
from producers.files.reader import Row
from producers.files.reasons import Unusable
from producers.files.report import Place, Report
from producers.files.row_cells import RowCells
from schemas import accounts

_WEEK_MS = 7 * 24 * 3600 * 1000


class RowKind(NamedTuple):
    """`type`: of its events; "" if the mapping says it. `id`: the property that holds the row's id, if any.
    `lasts`: the row says what is so now, not what happened: without a time it is true now, and its id changes with it.
    """

    type: str
    id: str = ""
    lasts: bool = False


KINDS: Final = {
    "people": RowKind("profile.identified", lasts=True),
    "accounts": RowKind(accounts.GROUP, lasts=True),
    "leads": RowKind("lead.created", id="lead_id"),
    "events": RowKind(""),
}
"""A further kind is a line here and its name in `RowMapping.kind`."""


class RowReader:
    """One pass over the rows of one file, named `file`. `report` is written while the events are drawn."""

    def __init__(
        self,
        mapping: RowMapping,
        channel: str,
        report: Report,
        shift_weeks: int = 0,
        *,
        file: str = "",
        told: Callable[[str | None], None] = lambda fault: None,
    ) -> None:
        """`told` is called for each row with the reason of its failure, or None."""
        self._mapping = mapping
        self._kind = KINDS[mapping.kind]
        self._report = report
        self._told = told
        self._shift = shift_weeks * _WEEK_MS
        self._make = Maker(mapping.name, channel, file, mapping.columns(), self._shift)
        self._row = RowCells(mapping, report)

    def events(self, rows: Iterable[Row]) -> Iterator[Event]:
        """The events of `rows`, whose values are in the order of `mapping.columns()`, in the order of the file."""
        for row in rows:
            self._report.rows += 1
            try:
                if row.fault:
                    raise Unusable(row.fault)
                events = self._events(row)
            except Unusable as fault:
                self._report.reject(str(fault), Place(row.number, row.line, fault.column))
                self._told(str(fault))
                yield from self._make.refused_row(str(fault), row)
                continue
            self._told(None)
            yield from events

    def _events(self, row: Row) -> list[Event]:
        """Raises `Unusable`."""
        mapping = self._mapping
        identifiers = self._identifiers(row)
        if not identifiers and mapping.identifiers and mapping.kind in ("people", "leads"):
            raise Unusable("no_identifier")
        time = self._time(row)
        traits = self._row.values(row, mapping.traits)
        properties = self._row.values(row, mapping.properties)
        account = self._row.text(row, mapping.account)
        own_id = self._row.text(row, mapping.id)
        if mapping.id and not own_id:
            raise Unusable("missing_id", mapping.id)
        if self._kind.id and own_id:
            properties = {self._kind.id: own_id, **properties}
        type_ = self._type(row)
        if mapping.kind == "accounts":
            if not account:
                raise Unusable("missing_account", mapping.account or "")
            properties = {"group_id": account, **self._place(row), **properties, "traits": traits}
            traits = {}
        place = self._place(row) if mapping.kind == "people" else {}
        id = self._id(own_id, [type_, time, identifiers, traits, properties, account, *([place] if place else [])])
        if time is not None:
            self._report.saw(time + self._shift)
        if account and mapping.kind in ("leads", "events"):
            identifiers = [*identifiers, (accounts.IDENTIFIER, account)]
        made = [self._make.event(id, type_, time, identifiers, properties, traits)]
        if account and mapping.kind == "people":
            joined = {"group_id": account, **place}
            made.append(self._make.event(f"{id}/account", accounts.GROUP, time, identifiers, joined))
        return made

    def _place(self, row: Row) -> dict[str, str]:
        """What the row says of a person's place in the account, and of the account's among others."""
        mapping = self._mapping
        columns = {"role": mapping.role, "reports_to": mapping.reports_to, "parent_id": mapping.parent}
        return {name: text for name, column in columns.items() if (text := self._row.text(row, column))}

    def _id(self, own: str, content: list[Any]) -> str:
        if own and not self._kind.lasts:
            return own
        digest = blake2b(orjson.dumps(content), digest_size=12).hexdigest()
        return f"{own}/{digest}" if own else digest

    def _type(self, row: Row) -> str:
        mapping = self._mapping
        type_ = self._kind.type or mapping.type or self._row.text(row, mapping.type_column)
        if not type_:
            raise Unusable("missing_type", mapping.type_column or "")
        return type_

    def _identifiers(self, row: Row) -> list[tuple[str, str]]:
        """One that cannot be read is left out. Raises `Unusable` if that leaves none of somebody's only ones."""
        found, fault = [], None
        for part in self._mapping.identifiers:
            try:
                told = self._row.cells.identifier(part.type, row.values[self._row.at[part.column]])
            except ValueError as error:
                if fault is not None:
                    self._row.leave_out(str(fault), row, fault.column)
                fault = Unusable(str(error), part.column)
                continue
            self._row.note(told.repairs, row, part.column)
            if told.value:
                found.append((part.type, str(told.value)))
        if fault is not None:
            if not found and self._mapping.kind in ("people", "leads"):
                raise fault
            self._row.leave_out(str(fault), row, fault.column)
        return found

    def _time(self, row: Row) -> int | None:
        when = self._mapping.time
        if when is None:
            return None
        try:
            moment = self._row.cells.moment([row.values[self._row.at[column]] for column in when.columns])
        except ValueError as error:
            fault = Unusable(f"time_{error}", when.column)
            if not self._kind.lasts:
                raise fault from None
            if str(error) != "missing":
                self._row.leave_out(str(fault), row, fault.column)
            return None
        self._row.note(moment.repairs, row, when.column)
        return moment.ms
