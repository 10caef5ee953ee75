"""A log that seals passes the contract of every log, and waits for keys before it writes what they seal."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

import pytest

from eventlog.port import EventLog
from eventlog.sqlite import SqliteEventLog
from privacy.keyring import Keyring
from privacy.log import SealedLog
from privacy.sqlite import SqliteKeys
from privacy.store import StoredKey
from schemas import topics
from schemas.errors import Broken
from tests.contracts.event_log import EventLogContract, Opener

SECRET = b"sixteen bytes ok"


class TestSealedLog(EventLogContract):
    @pytest.fixture
    def open_log(self, tmp_path: Path) -> Iterator[Opener]:
        opened: list[SealedLog] = []

        def open_(queue_limit: int = 100_000) -> EventLog:
            log = SqliteEventLog(tmp_path / "log.db", queue_limit=queue_limit)
            opened.append(SealedLog(log, Keyring(SqliteKeys(tmp_path / "keys.sqlite"), SECRET)))
            return opened[-1]

        yield open_
        for log in opened:
            log.close()


class Slow:
    """A key store whose disk answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[Sequence[StoredKey], Future[None]]] = []
        self.fails_at_once = False

    def add(self, keys: Sequence[StoredKey]) -> "Future[None]":
        done: Future[None] = Future()
        self.asked.append((keys, done))
        if self.fails_at_once:
            done.set_exception(Broken("key store: no room"))
        return done

    def of(self, nodes: Collection[int]) -> Mapping[int, Sequence[StoredKey]]:
        return {}

    def level(self, within: float = 0.0) -> bool:
        return False

    def follow(self, forget: Callable[[Collection[int]], None]) -> None:
        return

    def destroy(self, nodes: Collection[int]) -> int:
        return 0

    def is_known(self) -> bool:
        return True

    def purge(self) -> bool:
        return True

    def close(self) -> None:
        return


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteEventLog]:
    log = SqliteEventLog(tmp_path / "log.db")
    yield log
    log.close()


def end(log: EventLog) -> int:
    return sum(log.ends(topics.EVENTS))


def test_nothing_is_written_before_all_keys_drawn_until_then_are_stored(log: SqliteEventLog) -> None:
    store = Slow()
    keyring = Keyring(store, SECRET)
    sealed = SealedLog(log, keyring)
    keyring.key_of(1)
    first = sealed.submit([(topics.EVENTS, [(b"a", b"{}")])])
    keyring.key_of(2)
    second = sealed.submit([(topics.EVENTS, [(b"b", b"{}")])])
    store.asked[1][1].set_result(None)
    assert not first.done()
    assert not second.done()
    assert end(log) == 0
    store.asked[0][1].set_result(None)
    first.result(30)
    second.result(30)
    assert end(log) == 2
    assert sealed.submit([(topics.EVENTS, [(b"c", b"{}")])]).result(30)


@pytest.mark.parametrize("at_once", [True, False])
def test_keys_that_cannot_be_stored_fail_what_they_sealed_and_are_offered_again(
    log: SqliteEventLog, at_once: bool
) -> None:
    store = Slow()
    store.fails_at_once = at_once
    keyring = Keyring(store, SECRET)
    sealed = SealedLog(log, keyring)
    key = keyring.key_of(1)
    failing = sealed.submit([(topics.EVENTS, [(b"a", b"{}")])])
    if not at_once:
        store.asked[0][1].set_exception(Broken("key store: no room"))
    with pytest.raises(Broken, match="no room"):
        failing.result(30)
    assert end(log) == 0
    store.fails_at_once = False
    again = sealed.submit([(topics.EVENTS, [(b"a", b"{}")])])
    assert [one.node for one in store.asked[1][0]] == [1]
    assert keyring.key_of(1) is key
    store.asked[1][1].set_result(None)
    again.result(30)
    assert end(log) == 1


class Lagging(SqliteKeys):
    """A copy of the keys that has not heard of a destruction yet."""

    def destroy(self, nodes: Collection[int]) -> int:
        return 0


def test_what_this_process_destroyed_opens_nothing_though_a_copy_still_has_it(tmp_path: Path) -> None:
    keyring = Keyring(Lagging(tmp_path / "keys.sqlite"), SECRET)
    key = keyring.key_of(1)
    for storing in keyring.storing():
        storing.result(30)
    assert keyring.find([1])
    keyring.destroy([1])
    assert keyring.find([1]) == keyring.find_all({1: {key.id}}) == {}
    keyring.close()
