"""What every `stream_processors.rows.writing.Rows` must do, and every `stream_processors.state.states.History` over
them. Subclass `RowsContract` and give `tables`."""

from collections.abc import Mapping
from typing import Any, Protocol

from schemas.records import Transition
from stream_processors.parse.batch import Batch
from stream_processors.rows.events import seen_identifiers
from stream_processors.rows.identity import Folded, Home, ProfileMember
from stream_processors.rows.writing import Rows, Shown
from stream_processors.state.judge import Judge
from stream_processors.state.profile import ProfileState
from stream_processors.state.states import History, Looked
from stream_processors.state.teller import Published
from tests.contracts.directory import CARD, MAIL, U1, U2, batch_of, event, node
from tests.properties.installation import Clock
from warehouse.client import Writer

TERMS: Mapping[int, int] = {0: 1}


class Tables(Protocol):
    """Rows of one kind, what is known of them, and the tables that they come to."""

    rows: Rows
    history: History
    writer: Writer

    def step(self, batch: Batch) -> None:
        """A step begins, with these events."""
        ...

    def land(self) -> None:
        """The step ends, and all its rows are in the tables."""
        ...


def count(tables: Tables, table: str, where: str = "1") -> int:
    [(found,)] = tables.writer.rows(f"SELECT count() FROM {table} FINAL WHERE {where}")
    return int(found)


def write(tables: Tables, *events: Any, first: int = 0) -> Batch:
    batch = batch_of(*events, first=first)
    tables.step(batch)
    tables.rows.batch(batch, seen_identifiers(batch), TERMS)
    return batch


def state_of(looked: Looked) -> tuple[int, set[tuple[str, str]]]:
    """Events, and identifiers by type and value."""
    state = looked.state
    return state.events, {(one.type, one.value) for one in state.identifiers.values()}


class RowsContract:
    def test_a_batch_lands_whole(self, tables: Tables) -> None:
        write(tables, event("1", U1, MAIL), event("2", U2), event("3"))
        tables.land()
        assert [count(tables, table) for table in ("events", "ids", "log_rows")] == [3, 3, 3]
        assert count(tables, "identifiers") == 3

    def test_who_is_who_lands(self, tables: Tables) -> None:
        write(tables)
        homes = [Home(node=one, profile=7, ver=5) for one in (1, 2)]
        members = [ProfileMember(profile=7, node=one, live=True, ver=5) for one in (1, 2)]
        tables.rows.identity(Folded(identity=homes, members=members))
        tables.land()
        assert tables.writer.rows("SELECT node, profile FROM identity FINAL ORDER BY node") == [(1, 7), (2, 7)]
        assert count(tables, "members", "profile = 7 AND live") == 2

    def test_what_is_shown_lands_and_the_higher_version_counts(self, tables: Tables) -> None:
        for version, gone in ((1, []), (2, [7])):
            write(tables)
            states = {} if gone else {7: ProfileState(nodes={1})}
            tables.rows.show(Shown(states, gone, {7: version}))
            tables.land()
            assert count(tables, "views", "profile = 7 AND live") == len(states)
            assert count(tables, "profile_rows", "profile = 7 AND live") == len(states)

    def test_what_is_published_lands_in_both_tables(self, tables: Tables) -> None:
        entered = Transition(
            segment="vip",
            version=1,
            profile=f"{7:032x}",
            kind="entered",
            at=5,
            entered_at=5,
            cause="event",
            id="trn_1",
        )
        write(tables)
        tables.rows.published([Published(3, entered)])
        tables.land()
        assert count(tables, "transitions", "off = 3") == 1
        assert tables.writer.rows("SELECT segment, profile FROM memberships FINAL WHERE member") == [("vip", 7)]

    # ---- what is known of nodes

    def test_new_rows_are_counted_once_whether_they_have_landed_or_not(self, tables: Tables) -> None:
        judge, looked = Judge(Clock()), Looked(ProfileState(), 0, {})
        u1 = node(*U1)
        for n, wanted in ((0, 1), (1, 2), (2, 3)):
            write(tables, event(str(n), U1), first=n)
            ends = tables.history.ends()
            holders = {u1: looked}
            tables.history.read({}, holders, ends, judge)
            looked.ends = ends
            looked.state.nodes = {u1}
            assert state_of(looked) == (wanted, {U1})
            tables.land()
        tables.history.read({}, {u1: looked}, looked.ends, judge)
        assert state_of(looked)[0] == 3

    def test_all_rows_of_a_node_are_loaded_with_those_in_hand(self, tables: Tables) -> None:
        write(tables, event("0", U1), event("1", U1, MAIL), event("2", CARD))
        tables.land()
        write(tables, event("3", U1), first=3)
        judge, looked, u1 = Judge(Clock()), Looked(ProfileState(), 0, {}), node(*U1)
        tables.history.read({u1: looked}, {}, tables.history.ends(), judge)
        assert state_of(looked)[0] == 3
        tables.land()

    def test_settled_rows_can_be_queried(self, tables: Tables) -> None:
        write(tables, event("0", U1))
        tables.land()
        tables.history.settle([node(*U1)])
        assert count(tables, "identifiers", "type = 'user_id'") == 1
