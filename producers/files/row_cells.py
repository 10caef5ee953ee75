"""The cells of a file's rows by the names of their columns. Repairs are reported, and cells that are left out."""

from collections.abc import Iterable
from typing import Any

from producers.files.cells import Cells
from producers.files.mapping import Mapping, Values
from producers.files.mapping_parts import Read
from producers.files.reader import Row
from producers.files.report import Place, Report


class RowCells:
    """Rows hold their values in the order of `mapping.columns()`; `at` is the place of a column in them."""

    def __init__(self, mapping: Mapping, report: Report) -> None:
        self.cells = Cells(mapping)
        self.at = {column: position for position, column in enumerate(mapping.columns())}
        self._report = report

    def text(self, row: Row, column: str | None) -> str:
        return "" if column is None else self.cells.text(row.values[self.at[column]])

    def value(self, row: Row, column: str, read: Read) -> object:
        """ "" if the cell is empty, or cannot be read and is left out."""
        try:
            told = self.cells.value(row.values[self.at[column]], read)
        except ValueError as fault:
            self.leave_out(str(fault), row, column)
            return ""
        self.note(told.repairs, row, column)
        return told.value

    def values(self, row: Row, wanted: Values) -> dict[str, Any]:
        """The cells that are not empty, by name."""
        read = ((name, self.value(row, cell.column, cell.read)) for name, cell in wanted.items())
        return {name: value for name, value in read if value != ""}

    def note(self, repairs: Iterable[str], row: Row, column: str) -> None:
        for repair in repairs:
            self._report.repair(repair, Place(row.number, row.line, column))

    def leave_out(self, reason: str, row: Row, column: str) -> None:
        self._report.leave_out(reason, Place(row.number, row.line, column))
