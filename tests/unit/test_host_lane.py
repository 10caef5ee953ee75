"""A lane drives a stage: what it reads, when it commits, and what it does when something goes wrong."""

import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from eventlog.port import Record
from eventlog.sqlite import SqliteEventLog
from schemas import topics
from schemas.errors import Backpressure
from schemas.retry import Pauses
from stream_processors.host import lane as lane_module
from stream_processors.host.lane import Lane, NotMember
from stream_processors.state.stage import Superseded
from tests.e2e.harness import wait_for

EVENTS = topics.EVENTS
GROUP = "tally"


class Tally:
    """A stage that writes down in a table which records it has seen to, and in which order it was called."""

    name, topic, group = "tally", EVENTS, GROUP

    def __init__(self, log: SqliteEventLog, path: Path) -> None:
        self._log = log
        self._table = sqlite3.connect(path, check_same_thread=False)
        self._table.execute("CREATE TABLE IF NOT EXISTS seen (part, off, times, PRIMARY KEY (part, off))")
        self.calls: list[tuple[str, tuple[int, ...]]] = []
        self.generations: dict[int, int] = {}
        self.fails: Callable[[Sequence[Record]], Exception | None] = lambda records: None
        self.gate = threading.Event()
        self.gate.set()
        self.inside = threading.Event()

    def assign(self, partitions: Collection[int], generation: int) -> dict[int, int]:
        self.calls.append(("assign", tuple(sorted(partitions))))
        self.generations.update(dict.fromkeys(partitions, generation))
        committed = self._log.committed(self.group, self.topic)
        return {partition: committed[partition] for partition in partitions}

    def revoke(self, partitions: Collection[int]) -> None:
        if partitions:
            self.calls.append(("revoke", tuple(sorted(partitions))))
        for partition in partitions:
            self.generations.pop(partition, None)

    def process(self, records: Sequence[Record]) -> None:
        self.inside.set()
        assert self.gate.wait(20)
        assert {record.partition for record in records} <= set(self.generations)
        if error := self.fails(records):
            raise error
        rows = [(record.partition, record.offset) for record in records]
        sql = "INSERT INTO seen VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET times = times + 1"
        self._table.executemany(sql, rows)
        self._table.commit()

    def idle(self) -> None:
        """Nothing."""

    def seen(self) -> dict[tuple[int, int], int]:
        return {(part, off): times for part, off, times in self._table.execute("SELECT * FROM seen")}


class World:
    def __init__(self, folder: Path) -> None:
        self.log = SqliteEventLog(folder / "log", partitions=3)
        self.stage = Tally(self.log, folder / "table")
        self.refused: Exception | None = None
        self.rejoined = threading.Event()
        self.lane = Lane(
            self.stage, self.log, self.fence, superseded=self.rejoined.set, batch=30, pauses=Pauses(0.01, 0.05)
        )
        self.fenced: list[Mapping[int, int]] = []

    def fence(self, topic: str, positions: Mapping[int, int]) -> None:
        if self.refused:
            raise self.refused
        self.fenced.append(dict(positions))

    def append(self, count: int) -> None:
        self.log.append(EVENTS, [(str(n).encode(), b"{}") for n in range(count)])

    def begins_a_batch(self) -> None:
        """The stage is in the middle of nine records until its gate opens."""
        self.stage.gate.clear()
        self.append(9)
        self.lane.own({0, 1, 2}, 1)
        assert self.stage.inside.wait(20)

    @property
    def lag(self) -> int:
        return sum(self.log.ends(EVENTS)) - sum(self.log.committed(GROUP, EVENTS))

    def settled(self) -> None:
        wait_for(lambda: self.lag == 0, "the lane does not get on", 20)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    made.lane.start()
    yield made
    made.stage.gate.set()
    assert made.lane.stop(20)
    made.log.close()


def test_all_is_processed_once_and_committed(world: World) -> None:
    world.append(200)
    world.lane.own({0, 1, 2}, 1)
    world.settled()
    assert len(world.stage.seen()) == 200
    assert set(world.stage.seen().values()) == {1}
    assert world.fenced, "nothing may be committed without the group's consent"


def test_nothing_is_done_for_what_is_not_owned(world: World) -> None:
    world.append(90)
    world.lane.own({1}, 1)
    end = world.log.ends(EVENTS)[1]
    wait_for(lambda: world.log.committed(GROUP, EVENTS)[1] == end, "partition 1 waits", 20)
    assert {part for part, _ in world.stage.seen()} == {1}


def test_a_failing_batch_is_tried_again_and_never_committed(world: World) -> None:
    """The traps: an acknowledgement in `finally`, and a batch that is acknowledged though it failed."""
    failures = iter([ValueError("once"), OSError("twice"), Backpressure("thrice")])
    world.stage.fails = lambda records: next(failures, None)
    world.append(20)
    world.lane.own({0, 1, 2}, 1)
    world.settled()
    assert world.lane.progress.retries == 3
    assert world.lane.progress.failing == ""
    assert set(world.stage.seen().values()) == {1}


def test_while_it_fails_positions_stand_still_and_the_lane_says_so(world: World) -> None:
    world.stage.fails = lambda records: Backpressure("the warehouse is down")
    world.append(5)
    world.lane.own({0, 1, 2}, 1)
    wait_for(lambda: world.lane.progress.retries >= 2, "no try", 20)
    assert world.lag == 5
    assert world.lane.progress.failing == "the warehouse is down"
    world.stage.fails = lambda records: None
    world.settled()


def test_failures_in_a_row_lead_to_taking_over_anew(world: World) -> None:
    failures = iter([Backpressure("away")] * lane_module.ANEW_EVERY)
    world.stage.fails = lambda records: next(failures, None)
    world.append(5)
    world.lane.own({0, 1, 2}, 1)
    world.settled()
    assert [name for name, _ in world.stage.calls] == ["assign", "revoke", "assign"]


def test_a_fault_of_ours_stops_the_lane_visibly(world: World) -> None:
    world.stage.fails = lambda records: ZeroDivisionError("of a customer's value")
    world.append(5)
    world.lane.own({0, 1, 2}, 1)
    wait_for(lambda: world.lane.condition.state == "stopped", "it goes on", 20)
    assert world.lane.condition.reason == "ZeroDivisionError"
    assert (world.lag, world.lane.held) == (5, frozenset())
    assert world.lane.hold(0), "nobody waits for it"


def test_a_failing_commit_is_retried(world: World) -> None:
    world.refused = Backpressure("no coordinator")
    world.append(9)
    world.lane.own({0, 1, 2}, 1)
    wait_for(lambda: world.lane.progress.retries >= 2, "no try", 20)
    assert world.lag == 9
    world.refused = None
    world.settled()


def test_hold_waits_for_the_batch_in_hand_and_its_commit(world: World) -> None:
    world.begins_a_batch()
    assert not world.lane.hold(0.05), "the batch goes on"
    world.stage.gate.set()
    assert world.lane.hold(20)
    assert world.lag == 0
    world.append(9)
    assert not world.lane.hold(0.3) or world.lag == 9


def test_a_batch_whose_partitions_went_elsewhere_is_not_committed(world: World) -> None:
    world.begins_a_batch()
    world.lane.hold(0.01)
    world.refused = NotMember("another generation")
    world.lane.own(set(), 3)
    world.stage.gate.set()
    wait_for(lambda: not world.lane.held, "still held", 20)
    assert world.lag == 9
    assert world.stage.calls[-1] == ("revoke", (0, 1, 2))


def test_what_stays_ours_from_one_generation_to_the_next_is_kept_as_it_is(world: World) -> None:
    world.lane.own({0, 1}, 1)
    wait_for(lambda: world.lane.held == {0, 1}, "not taken over", 20)
    assert world.lane.hold(20)
    world.lane.own({1, 2}, 2)
    wait_for(lambda: world.lane.held == {1, 2}, "not taken over", 20)
    assert world.stage.calls == [("assign", (0, 1)), ("revoke", (0,)), ("assign", (2,))]
    assert world.stage.generations == {1: 1, 2: 2}


def test_after_a_missed_generation_everything_is_taken_over_anew(world: World) -> None:
    world.lane.own({0, 1}, 1)
    wait_for(lambda: world.lane.held == {0, 1}, "not taken over", 20)
    world.lane.own({0, 1}, 4)
    wait_for(lambda: world.stage.generations == {0: 4, 1: 4}, "not taken over anew", 20)


def test_a_later_owner_makes_it_let_go_and_join_again(world: World) -> None:
    world.stage.fails = lambda records: Superseded("another has it")
    world.append(3)
    world.lane.own({0, 1, 2}, 1)
    assert world.rejoined.wait(20)
    wait_for(lambda: world.lane.progress.doing == "waiting", "not waiting", 20)
    assert not world.lane.held
    world.stage.fails = lambda records: None
    world.lane.own({0, 1, 2}, 2)
    world.settled()


def test_stopping_finishes_the_batch_in_hand(world: World) -> None:
    world.begins_a_batch()
    stopped = threading.Thread(target=world.lane.stop, args=(20,))
    stopped.start()
    world.stage.gate.set()
    stopped.join()
    assert world.lag == 0
