"""Writing the stages' rows: a small port, and the adapter that writes each table before the next one. The other
adapter, which collects rows first, is `rows.lingering`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import pyarrow as pa

from privacy.keyring import Gone, nobody_gone
from stream_processors.checkpoints import Checkpoint
from stream_processors.parse.batch import Batch
from stream_processors.rows import events
from stream_processors.rows.identity import Folded, decision_rows, identity_rows, link_rows, member_rows
from stream_processors.rows.profiles import profile_rows, view_rows, views_of
from stream_processors.rows.transitions import membership_rows, transition_rows
from stream_processors.state.profile import ProfileState
from stream_processors.state.teller import Published
from stream_processors.state.tellings import Retold
from warehouse import forgetting
from warehouse.client import Writer


@dataclass(slots=True)
class Shown:
    """The states of profiles. `versions`: of the rows of each."""

    states: Mapping[int, ProfileState]
    gone: Collection[int]
    versions: Mapping[int, int]
    homes: Mapping[int, int] = field(default_factory=dict)
    """Node -> its profile, for nodes with news."""


def shown_tables(shown: Shown) -> dict[str, pa.Table]:
    """All rows of profiles, by table. Views come first: `profile_rows` say when they are due."""
    gone = list(shown.gone)
    return {
        "views": view_rows(views_of(shown.states, gone, shown.versions)),
        "profile_rows": profile_rows(shown.states, gone, shown.versions),
    }


class EventRows(Protocol):
    """Rows of events. One thread. Every row, here and below, may be written again: its version is a function of the
    log, or higher than before."""

    def tellings(self, batch: Batch) -> None:
        """The tellings of a batch. Call it before other tellings of their facts are looked up."""
        ...

    def retellings(self, retold: Retold) -> None:
        """Events that do not count; in the warehouse on return. Call it before `batch`, so that nothing counts them."""
        ...

    def orders(self, batch: Batch) -> None:
        """What a batch tells of orders; in the warehouse on return. Call it before other tellings are looked up."""
        ...

    def batch(self, batch: Batch, seen: events.Seen, terms: Mapping[int, int]) -> None:
        """Rows of events, and of their places in the log. `terms`: partition -> the term under which it is held."""
        ...


class IdentityRows(Protocol):
    """Rows of who is who. One thread."""

    def identity(self, folded: Folded) -> None:
        """Who is who."""
        ...


class ProfileRows(Protocol):
    """Rows of profiles and their transitions. One thread."""

    def show(self, shown: Shown) -> None:
        """Views and profile rows. Call it before the transitions are published, so that a receiver that is called about
        one finds it in the view."""
        ...

    def published(self, transitions: Sequence[Published]) -> None:
        """Transitions that count, once they are in simorgh.segments."""
        ...


class Rows(EventRows, IdentityRows, ProfileRows, Protocol):
    """All of them."""


class Through:
    """Writes rows through: they are in the warehouse on return."""

    def __init__(self, writer: Writer, checkpoint: Checkpoint, gone: Gone = nobody_gone) -> None:
        """`gone`: whoever was forgotten since their rows were made, where another process forgets."""
        self._gone = gone
        self._writer = writer
        self._checkpoint = checkpoint
        self._entered: dict[int, int] = {}
        """Partition -> the offset after the last one in an insert into log_rows, whatever its outcome."""

    def tellings(self, batch: Batch) -> None:
        if batch.facts:
            self._insert("tellings", events.telling_rows(batch))

    def retellings(self, retold: Retold) -> None:
        if retold:
            self._insert("retellings", events.retelling_rows(retold))

    def orders(self, batch: Batch) -> None:
        if batch.documents and (rows := events.order_rows(batch)).num_rows:
            self._insert("order_tellings", rows)

    def batch(self, batch: Batch, seen: events.Seen, terms: Mapping[int, int]) -> None:
        tables = events.tables(batch, seen, terms)  # all of them before the first is written
        places = tables.pop("log_rows")
        for table, rows in tables.items():
            self._insert(table, rows)
        self._enter(places, terms)

    def identity(self, folded: Folded) -> None:
        self._insert("members", member_rows(folded))
        homes = identity_rows(folded)
        self._insert("identity_log", homes)
        self._insert("identity", homes)
        self._insert("decisions", decision_rows(folded.decisions))
        self._insert("links", link_rows(folded))

    def show(self, shown: Shown) -> None:
        gone = self._gone(shown.states.keys())
        if gone:
            states = {profile: state for profile, state in shown.states.items() if profile not in gone}
            shown = replace(shown, states=states)
        for table, rows in shown_tables(shown).items():
            self._insert(table, rows)
        if later := self._gone(shown.states.keys()):  # the process stood still while it wrote
            for writer in self._writer.and_later():
                forgetting.forget(writer, (), later)

    def published(self, transitions: Sequence[Published]) -> None:
        if transitions:
            rows = transition_rows(transitions)
            self._insert("transitions", rows)
            self._insert("memberships", membership_rows(rows))

    def _insert(self, table: str, rows: pa.Table) -> None:
        self._writer.insert(table, rows)
        self._checkpoint(table)

    def _enter(self, rows: pa.Table, terms: Mapping[int, int]) -> None:
        """Write the offsets. A failed insert may still be in the table: then only missing rows are written again."""
        parts, offsets = rows["part"].to_pylist(), rows["off"].to_pylist()
        tried = any(offset < self._entered.get(part, 0) for part, offset in zip(parts, offsets, strict=True))
        if tried:
            there = self._there(parts, offsets, terms)
            rows = rows.filter(pa.array([place not in there for place in zip(parts, offsets, strict=True)]))
        for part, offset in zip(parts, offsets, strict=True):
            self._entered[part] = max(offset + 1, self._entered.get(part, 0))
        self._insert("log_rows", rows)

    def _there(self, parts: list[int], offsets: list[int], terms: Mapping[int, int]) -> set[tuple[int, int]]:
        """The positions that this holder has written already."""
        there: set[tuple[int, int]] = set()
        for part in set(parts):
            own = [offset for p, offset in zip(parts, offsets, strict=True) if p == part]
            bounds = {"p": part, "a": min(own), "b": max(own), "g": terms[part]}
            sql = """SELECT part, off FROM log_rows
                WHERE part = {p:UInt16} AND off BETWEEN {a:UInt64} AND {b:UInt64} AND gen >= {g:UInt32}"""
            there.update(self._writer.rows(sql, bounds))
        return there
