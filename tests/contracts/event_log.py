"""What every adapter of `eventlog.port.EventLog` must do. Subclass `EventLogContract` and give `open_log`."""

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for_all
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventlog.about import claim, read_about
from eventlog.port import EventLog, Message, Position, Record
from schemas import topics
from schemas.errors import Backpressure, Conflict, InvalidInput

Opener = Callable[..., EventLog]
"""Opens the same log each time it is called, after the one before was closed. Takes `queue_limit`."""


def read_all(log: EventLog, topic: str, step: int = 1000) -> list[list[Record]]:
    """Every record of every partition, read in steps."""
    partitions = []
    for partition, end in enumerate(log.ends(topic)):
        records: list[Record] = []
        while len(records) < end:
            records += log.read(topic, partition, len(records), step)
        partitions.append(records)
    return partitions


def numbered(count: int, prefix: str = "k") -> list[Message]:
    return [(f"{prefix}{number}".encode(), str(number).encode()) for number in range(count)]


OF_MODEL = (topics.EVENTS, topics.REGISTRY)
TOPICS = st.sampled_from(OF_MODEL)
MESSAGES = st.lists(st.tuples(st.binary(max_size=4), st.binary(max_size=40)), max_size=12)
SUBMIT = st.tuples(st.just("submit"), st.lists(st.tuples(TOPICS, MESSAGES), max_size=3))
COMMIT = st.tuples(st.just("commit"), TOPICS, st.integers(0, 9), st.integers(0, 50))
READ = st.tuples(st.just("read"), TOPICS, st.integers(0, 60), st.integers(0, 30))
REOPEN = st.tuples(st.just("reopen"))
Call = tuple[Any, ...]


class Model:
    """A log as lists: topic → partitions → messages, and the positions that one group committed."""

    def __init__(self, log: EventLog) -> None:
        self.messages = contents(log)
        self.committed = {topic: log.committed("model", topic) for topic in OF_MODEL}

    def check(self, log: EventLog, call: Call) -> None:
        match call:
            case ("submit", writes):
                for (topic, messages), positions in zip(writes, log.submit(writes).result(60), strict=True):
                    for message, (partition, offset) in zip(messages, positions, strict=True):
                        assert offset == len(self.messages[topic][partition])
                        self.messages[topic][partition].append(message)
            case ("commit", topic, number, offset):
                partition = number % len(self.committed[topic])
                log.commit("model", {topic: {partition: offset}})
                self.committed[topic][partition] = offset
            case ("read", topic, offset, limit):
                for partition, expected in enumerate(self.messages[topic]):
                    got = log.read(topic, partition, offset, limit)
                    assert [(r.key, r.value) for r in got] == expected[offset : offset + limit]
                    assert [r.offset for r in got] == list(range(offset, offset + len(got)))

    def check_all(self, log: EventLog) -> None:
        assert contents(log) == self.messages
        assert {topic: log.committed("model", topic) for topic in OF_MODEL} == self.committed
        for topic, partitions in self.messages.items():
            assert log.ends(topic) == [len(messages) for messages in partitions]


def contents(log: EventLog) -> dict[str, list[list[Message]]]:
    return {t: [[(r.key, r.value) for r in records] for records in read_all(log, t, 7)] for t in OF_MODEL}


CALLS = st.lists(st.one_of(SUBMIT, COMMIT, READ, REOPEN), max_size=12)
QUIETLY: Final[dict[str, Any]] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
}


class EventLogContract:
    @pytest.fixture
    def open_log(self, tmp_path: Path) -> Iterator[Opener]:
        raise NotImplementedError

    @pytest.fixture
    def log(self, open_log: Opener) -> EventLog:
        return open_log()

    # --- what the log says about itself

    def test_who_claims_a_name_first_is_obeyed_by_all(self, open_log: Opener) -> None:
        log = open_log()
        before = dict(read_about(log))
        assert claim(log, "colour", "green") == "green"
        assert claim(log, "colour", "blue") == "green"
        log.append(topics.ABOUT, [(b"colour", b"red")])  # who had looked before the first was there
        assert read_about(log) == {**before, "colour": "green"}
        log.close()
        assert claim(open_log(), "colour", "blue") == "green"

    # --- append and read

    def test_an_empty_log_has_ends_of_zero_and_nothing_to_read(self, log: EventLog) -> None:
        for topic in set(topics.ALL) - {topics.ABOUT}:
            ends = log.ends(topic)
            assert set(ends) == {0}
            assert all(log.read(topic, partition, 0, 10) == [] for partition in range(len(ends)))

    def test_topics_with_one_order_have_one_partition(self, log: EventLog) -> None:
        assert {topic for topic in topics.ALL if len(log.ends(topic)) == 1} >= topics.SINGLE_PARTITION
        assert len(log.ends(topics.EVENTS)) > 1

    def test_offsets_are_dense_and_positions_name_the_records(self, log: EventLog) -> None:
        messages = numbered(1234)
        positions = log.append(topics.EVENTS, messages[:1000]) + log.append(topics.EVENTS, messages[1000:])
        partitions = read_all(log, topics.EVENTS)
        for partition, records in enumerate(partitions):
            assert [(r.partition, r.offset) for r in records] == [(partition, i) for i in range(len(records))]
        assert [(partitions[p][o].key, partitions[p][o].value) for p, o in positions] == messages

    def test_equal_keys_meet_in_one_partition_in_order(self, log: EventLog) -> None:
        messages = [(f"k{n % 7}".encode(), str(n).encode()) for n in range(200)]
        for start in range(0, 200, 13):
            log.append(topics.EVENTS, messages[start : start + 13])
        homes: defaultdict[bytes, set[int]] = defaultdict(set)
        values: defaultdict[bytes, list[int]] = defaultdict(list)
        for record in (r for records in read_all(log, topics.EVENTS) for r in records):
            homes[record.key].add(record.partition)
            values[record.key].append(int(record.value))
        assert all(len(partitions) == 1 for partitions in homes.values())
        assert all(numbers == sorted(numbers) for numbers in values.values())
        assert sum(map(len, values.values())) == 200

    @pytest.mark.parametrize(
        "value",
        [b"", b"\x00", b"a\x00b\x00", bytes(range(256)), b"\xff\xfe", "سیمرغ".encode(), b"x" * 1_000_000],
    )
    def test_keys_and_values_come_back_to_the_byte(self, log: EventLog, value: bytes) -> None:
        [(partition, offset)] = log.append(topics.EVENTS, [(value[:300], value)])
        [record] = log.read(topics.EVENTS, partition, offset, 1)
        assert (record.key, record.value) == (value[:300], value)

    def test_appending_nothing_is_nothing(self, log: EventLog) -> None:
        assert log.append(topics.EVENTS, []) == []
        assert log.submit([]).result() == []
        assert log.submit([(topics.EVENTS, []), (topics.REGISTRY, [])]).result() == [[], []]
        assert set(log.ends(topics.EVENTS)) == {0}

    def test_reads_keep_to_the_limit_and_end_at_the_end(self, log: EventLog) -> None:
        log.append(topics.REGISTRY, numbered(30))
        log.append(topics.REGISTRY, numbered(1))
        assert [r.offset for r in log.read(topics.REGISTRY, 0, 0, 5)] == [0, 1, 2, 3, 4]
        assert [r.offset for r in log.read(topics.REGISTRY, 0, 28, 5)] == [28, 29, 30]
        assert [r.offset for r in log.read(topics.REGISTRY, 0, 29, 1)] == [29]
        assert log.read(topics.REGISTRY, 0, 31, 5) == []
        assert log.read(topics.REGISTRY, 0, 10_000, 5) == []
        assert log.read(topics.REGISTRY, 0, 0, 0) == []

    def test_topics_do_not_mix(self, log: EventLog) -> None:
        log.append(topics.IDENTITY, [(b"k", b"identity")])
        log.append(topics.REGISTRY, [(b"k", b"registry")])
        assert [r.value for r in log.read(topics.IDENTITY, 0, 0, 9)] == [b"identity"]
        assert [r.value for r in log.read(topics.REGISTRY, 0, 0, 9)] == [b"registry"]

    def test_append_times_come_from_the_logs_clock_and_survive(self, open_log: Opener) -> None:
        log = open_log()
        log.append(topics.REGISTRY, numbered(3))
        before = log.read(topics.REGISTRY, 0, 0, 9)
        assert all(record.appended_at > 0 for record in before)
        log.close()
        assert open_log().read(topics.REGISTRY, 0, 0, 9) == before

    # --- submit

    def test_a_submit_reaches_several_topics_and_is_durable_when_done(self, open_log: Opener) -> None:
        log = open_log()
        writes = [
            (topics.EVENTS, numbered(5)),
            (topics.REJECTED, numbered(2)),
            (topics.EVENTS, numbered(1, "z")),
        ]
        results = log.submit(writes).result(timeout=60)
        assert [len(positions) for positions in results] == [5, 2, 1]
        log.close()
        again = open_log()
        for (topic, messages), positions in zip(writes, results, strict=True):
            found = [log_record(again, topic, position) for position in positions]
            assert [(r.key, r.value) for r in found] == messages

    def test_submits_of_one_thread_keep_their_order(self, log: EventLog) -> None:
        futures = [log.submit([(topics.REGISTRY, [(b"k", str(n).encode())])]) for n in range(200)]
        assert [future.result(timeout=60) for future in futures] == [[[(0, n)]] for n in range(200)]
        assert [int(r.value) for r in log.read(topics.REGISTRY, 0, 0, 500)] == list(range(200))

    def test_close_stores_what_was_submitted(self, open_log: Opener) -> None:
        log = open_log()
        futures = [log.submit([(topics.EVENTS, numbered(10, f"{n}-"))]) for n in range(20)]
        log.close()
        assert all(future.done() for future in futures)
        assert sum(open_log().ends(topics.EVENTS)) == 200

    def test_a_bad_submit_leaves_nothing_of_itself_and_harms_no_other(self, log: EventLog) -> None:
        good = log.submit([(topics.EVENTS, numbered(3))])
        bad: list[Message] = [*numbered(2), (b"k", "text")]  # type: ignore[list-item]
        with pytest.raises(InvalidInput):
            log.submit([(topics.REJECTED, numbered(2)), (topics.EVENTS, bad)])
        with pytest.raises(InvalidInput):
            log.submit([(topics.REJECTED, numbered(2)), ("simorgh.unheard_of", numbered(1))])
        assert len(good.result(timeout=60)[0]) == 3
        assert sum(log.ends(topics.EVENTS)) == 3
        assert log.ends(topics.REJECTED) == [0]

    def test_concurrent_appenders_lose_nothing(self, log: EventLog) -> None:
        def append(thread: int) -> list[Position]:
            positions = []
            for turn in range(25):
                positions += log.append(topics.EVENTS, numbered(8, f"{thread}-{turn}-"))
            return positions

        with ThreadPoolExecutor(6) as pool:
            positions = [position for each in pool.map(append, range(6)) for position in each]
        partitions = read_all(log, topics.EVENTS)
        assert sorted(positions) == [(r.partition, r.offset) for records in partitions for r in records]
        keys = Counter(r.key for records in partitions for r in records)
        assert keys == Counter(f"{t}-{u}-{n}".encode() for t in range(6) for u in range(25) for n in range(8))

    def test_backpressure_refuses_whole_submits_and_loses_none_it_took(self, open_log: Opener) -> None:
        log = open_log(queue_limit=50)
        taken: list[Future[list[list[Position]]]] = []
        refused = 0
        for number in range(5000):
            try:
                taken.append(log.submit([(topics.EVENTS, numbered(30, f"{number}-"))]))
            except Backpressure:
                refused += 1
                if refused == 5:
                    break
        assert refused == 5
        assert not wait_for_all(taken, timeout=60).not_done
        assert sum(log.ends(topics.EVENTS)) == 30 * len(taken)
        assert len(log.append(topics.EVENTS, numbered(30))) == 30

    def test_appending_one_after_the_other_meets_no_backpressure(self, open_log: Opener) -> None:
        log = open_log(queue_limit=10)
        for _ in range(50):
            log.append(topics.EVENTS, numbered(10))

    # --- groups

    def test_positions_are_kept_by_group_and_topic(self, open_log: Opener) -> None:
        log = open_log()
        assert log.committed("a", topics.REGISTRY) == [0]
        log.append(topics.EVENTS, numbered(50))
        ends = log.ends(topics.EVENTS)
        log.commit("a", {topics.EVENTS: dict(enumerate(ends)), topics.REGISTRY: {0: 7}})
        log.commit("b", {topics.EVENTS: {1: 3}})
        log.commit("a", {topics.REGISTRY: {0: 9}})
        log.close()
        again = open_log()
        assert again.committed("a", topics.EVENTS) == ends
        assert again.committed("a", topics.REGISTRY) == [9]
        assert again.committed("b", topics.EVENTS) == [0, 3, *[0] * (len(ends) - 2)]
        assert again.committed("b", topics.REGISTRY) == [0]

    def test_a_group_may_go_back(self, log: EventLog) -> None:
        log.append(topics.REGISTRY, numbered(9))
        log.commit("a", {topics.REGISTRY: {0: 9}})
        log.commit("a", {topics.REGISTRY: {0: 2}})
        assert log.committed("a", topics.REGISTRY) == [2]

    # --- wait

    def test_wait_gives_up_when_nothing_comes(self, log: EventLog) -> None:
        log.append(topics.REGISTRY, numbered(2))
        assert log.wait(topics.REGISTRY, [2], timeout=0.01) is False

    def test_wait_returns_at_once_when_there_is_more_already(self, log: EventLog) -> None:
        log.append(topics.REGISTRY, numbered(2))
        assert log.wait(topics.REGISTRY, [1], timeout=0) is True

    def test_an_append_wakes_every_waiter_of_its_topic(self, log: EventLog) -> None:
        ends = log.ends(topics.EVENTS)
        with ThreadPoolExecutor(8) as pool:
            waiters = [pool.submit(log.wait, topics.EVENTS, ends, 60) for _ in range(8)]
            log.append(topics.REGISTRY, numbered(1))
            log.append(topics.EVENTS, numbered(1))
            assert all(waiter.result(timeout=60) for waiter in waiters)

    # --- what is refused, and the end

    def test_what_makes_no_sense_is_refused(self, log: EventLog) -> None:
        partitions = len(log.ends(topics.EVENTS))
        calls: list[Callable[[], object]] = [
            lambda: log.append("simorgh.unheard_of", numbered(1)),
            lambda: log.ends("simorgh.unheard_of"),
            lambda: log.read("simorgh.unheard_of", 0, 0, 1),
            lambda: log.committed("a", "simorgh.unheard_of"),
            lambda: log.wait("simorgh.unheard_of", [0], 0),
            lambda: log.commit("a", {"simorgh.unheard_of": {0: 1}}),
            lambda: log.read(topics.EVENTS, partitions, 0, 1),
            lambda: log.read(topics.EVENTS, -1, 0, 1),
            lambda: log.read(topics.EVENTS, 0, -1, 1),
            lambda: log.commit("a", {topics.EVENTS: {partitions: 1}}),
            lambda: log.commit("a", {topics.EVENTS: {0: -1}}),
            lambda: log.commit("", {topics.EVENTS: {0: 1}}),
            lambda: log.wait(topics.EVENTS, [0] * (partitions + 1), 0),
        ]
        for call in calls:
            with pytest.raises(InvalidInput):
                call()

    def test_close_may_be_called_again_and_ends_everything_else(self, log: EventLog) -> None:
        log.append(topics.EVENTS, numbered(1))
        log.close()
        log.close()
        calls: list[Callable[[], object]] = [
            lambda: log.append(topics.EVENTS, numbered(1)),
            lambda: log.append(topics.EVENTS, []),
            lambda: log.read(topics.EVENTS, 0, 0, 1),
            lambda: log.ends(topics.EVENTS),
            lambda: log.commit("a", {topics.EVENTS: {0: 1}}),
            lambda: log.committed("a", topics.EVENTS),
            lambda: log.wait(topics.EVENTS, [0] * 2, 0),
        ]
        for call in calls:
            with pytest.raises(Conflict) as raised:
                call()
            assert raised.value.code == "closed"

    def test_close_ends_a_wait(self, log: EventLog) -> None:
        entered = threading.Event()

        def wait() -> bool:
            entered.set()
            return log.wait(topics.REGISTRY, [0], 60)

        with ThreadPoolExecutor(1) as pool:
            waiter = pool.submit(wait)
            entered.wait(60)
            log.close()
            with pytest.raises(Conflict):
                waiter.result(timeout=60)

    # --- against a model

    @settings(max_examples=40, **QUIETLY)
    @given(calls=CALLS)
    def test_any_sequence_of_calls_acts_like_lists(self, open_log: Opener, calls: list[Call]) -> None:
        self.acts_like_lists(open_log, calls)

    def acts_like_lists(self, open_log: Opener, calls: list[Call]) -> None:
        """The same log goes on from example to example, so the model starts from what it holds."""
        log = open_log()
        try:
            model = Model(log)
            for call in calls:
                if call[0] == "reopen":
                    log.close()
                    log = open_log()
                else:
                    model.check(log, call)
            model.check_all(log)
        finally:
            log.close()


def log_record(log: EventLog, topic: str, position: Position) -> Record:
    [record] = log.read(topic, *position, 1)
    return record
