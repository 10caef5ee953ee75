"""A graph that was stored and loaded again is the graph: it goes on as if nothing had been."""

from hypothesis import given, settings
from hypothesis import strategies as st

from identity.graph import IdentityGraph
from identity.rules import DEFAULT_RULES
from identity.snapshot import Mark, load, mark_of, take
from schemas.records import IdentityRecord
from tests.effort import examples
from tests.identity_records import link
from tests.properties.identity_histories import LIMITED, folded, histories, profiles, refusals

MARK = Mark.of(7, b"key", b"value")


def dump(graph: IdentityGraph, mark: Mark) -> bytes:
    return take(graph, mark).encode()


@settings(max_examples=examples(50), deadline=None)
@given(histories(40), st.data())
def test_a_loaded_graph_goes_on_as_the_stored_one(records: list[IdentityRecord], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(records)))
    graph = folded(records[:cut], LIMITED)
    loaded = load(dump(graph, MARK), LIMITED)
    assert loaded is not None
    for record in records[cut:]:
        assert loaded.fold(record) == graph.fold(record)
    assert (profiles(loaded), refusals(loaded)) == (profiles(graph), refusals(graph))
    assert dump(loaded, MARK) == dump(graph, MARK)
    assert (loaded.commands, loaded.ruled, loaded.rules) == (graph.commands, graph.ruled, graph.rules)


def test_hubs_are_found_again() -> None:
    """A node with many neighbours has an index, which is no part of the snapshot."""
    hub = [link([(2**128 - 1, "device_id"), (n, "anonymous_id")], at=n) for n in range(1, 80)]
    graph = folded(hub, DEFAULT_RULES)
    loaded = load(dump(graph, MARK), DEFAULT_RULES)
    assert loaded is not None
    for record in hub:
        assert loaded.fold(record) == graph.fold(record)
    assert dump(loaded, MARK) == dump(graph, MARK)


def test_what_is_of_no_use_answers_none() -> None:
    snapshot = dump(folded([], DEFAULT_RULES), MARK)
    assert mark_of(snapshot) == MARK
    assert load(snapshot, LIMITED) is None
    for broken in (b"", snapshot[:-1], snapshot[:40] + b"\x00" + snapshot[41:], b"x" * 100):
        assert (mark_of(broken), load(broken, DEFAULT_RULES)) == (None, None)


def test_a_mark_is_of_one_record() -> None:
    assert Mark.of(7, b"key", b"value") == MARK
    others = [Mark.of(8, b"key", b"value"), Mark.of(7, b"ke", b"yvalue"), Mark.of(7, b"key", b"other")]
    assert MARK not in others
