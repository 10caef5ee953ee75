"""How far views hold on a cluster, while the stages are at different places: on an embedded log, without processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from eventlog.sqlite import SqliteEventLog
from schemas import topics
from simorgh.api import STAGES
from simorgh.positions import StagePositions, ViewsHold


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteEventLog]:
    made = SqliteEventLog(tmp_path / "log.sqlite", partitions=1)
    yield made
    made.close()


def test_nothing_is_promised_that_later_stages_have_not_passed(log: SqliteEventLog) -> None:
    views = ViewsHold(StagePositions(log, STAGES))
    assert views.positions() == [0]
    log.append(topics.EVENTS, [(b"e", b"{}")] * 5)
    log.append(topics.IDENTITY, [(b"l", b"{}")])
    log.commit("events", {topics.EVENTS: {0: 5}})
    assert views.positions() == [0], "identity has not passed the link"
    log.append(topics.TOUCHED, [(b"t", b"{}")])
    log.commit("identity", {topics.IDENTITY: {0: 1}})
    assert views.positions() == [0], "the touched profile was not looked at"
    log.commit("profiles", {topics.TOUCHED: {0: 1}})
    assert views.positions() == [5]


def test_under_load_a_state_is_followed_through_the_stages(log: SqliteEventLog) -> None:
    """Profiles lag all the time, by one touch."""
    views = ViewsHold(StagePositions(log, STAGES))
    log.append(topics.TOUCHED, [(b"t", b"{}")])
    answers = []
    for n in range(1, 11):
        log.append(topics.EVENTS, [(b"e", b"{}")])
        log.append(topics.TOUCHED, [(b"t", b"{}")])
        log.commit("events", {topics.EVENTS: {0: n}})
        log.commit("profiles", {topics.TOUCHED: {0: n}})
        answers.append(views.positions()[0])
    assert answers == sorted(answers)
    assert 0 < answers[-1] < 10
