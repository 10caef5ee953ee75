"""The embedded log: one SQLite file, one writing thread, group commit.

A submit is packed in the caller's thread. The writing thread takes all waiting submits, stores them in one transaction
with one sync, then resolves the futures. New records are read from memory (see `latest`), others over the readers' own
connections.
"""

import sqlite3
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from zlib import crc32

from eventlog.checks import (
    check_beyond,
    check_group,
    check_messages,
    check_partition,
    checked_offset,
    closed,
    unknown_topic,
)
from eventlog.chunks import Chunk, pack, unpack
from eventlog.latest import Commits, Stored, Tails
from eventlog.port import Message, Position, Record
from eventlog.sqlite_blank import blank, purge
from eventlog.sqlite_chunks import ChunkPlace, insert, load
from eventlog.sqlite_file import (
    Committed,
    Lock,
    connect,
    load_ends,
    open_writer,
    readable,
    require_commits,
    store_commits,
)
from eventlog.sqlite_requests import StoreRequest, SubmittedBatch, explain, place, stored_chunks
from schemas.clock import Clock, system_clock
from schemas.errors import Backpressure, InvalidInput

MOST_PARTITIONS = 64
LARGEST_PART = 512 * 1024 * 1024  # bytes of one key or value; SQLite's own limit for a row is near 1 GB


class SqliteEventLog:
    """`eventlog.port.EventLog` on one machine, for one process.

    Beyond the port's contract:
    - Opening a file that another log object, here or in another process, has open raises `Conflict`; a file
      that is no log of ours, or too damaged to open, raises `Broken`; one of a format that we do not read,
      `InvalidSettings`. `partitions` counts only for topics that the file does not have.
    - Acknowledged means synced to disk. A record that was not acknowledged may be there after a crash, whole
      submits only.
    - `queue_limit` messages and `queue_bytes` may wait; more is `Backpressure`. A submit that alone exceeds a
      limit is taken when nothing else waits. A full disk is `Backpressure` too, through the future.
    - Callbacks of the futures run in the writing thread: they must be short and must not call this log's
      blocking methods. A future that is cancelled before its turn is not stored.
    - After `close` every other method raises `Conflict` with code `closed`.
    - The file must not be opened before a fork and used after it.
    """

    def __init__(
        self,
        path: Path,
        *,
        partitions: int = 2,
        clock: Clock = system_clock,
        queue_limit: int = 100_000,
        queue_bytes: int = 64 * 1024 * 1024,
    ) -> None:
        if not 1 <= partitions <= MOST_PARTITIONS:
            raise InvalidInput(
                f"Event log: wanted 1 to {MOST_PARTITIONS} partitions, got {partitions}; choose another number"
            )
        self._path = path
        self._clock = clock
        self._queue_limit = queue_limit
        self._queue_bytes = queue_bytes
        self._file_lock = Lock(path)
        try:
            self._db = open_writer(path, partitions)
        except BaseException:
            self._file_lock.release()
            raise
        try:
            with readable(path):
                self._ends = load_ends(self._db)
                self._commits = Commits(require_commits(self._db, path))
        except BaseException:
            self._db.close()
            self._file_lock.release()
            raise
        self._tails = Tails()
        self._idle_readers: deque[sqlite3.Connection] = deque()
        mutex = threading.Lock()  # guards all that follows, and self._ends
        self._grown = threading.Condition(mutex)
        self._work = threading.Condition(mutex)
        self._queue: list[StoreRequest] = []
        self._waiting_records = 0  # queued or being stored
        self._waiting_bytes = 0
        self._closed = False
        self._closing = threading.Lock()
        self._writer = threading.Thread(target=self._run, name=f"log-writer {path.name}", daemon=True)
        self._writer.start()

    # --- appending

    def append(self, topic: str, messages: Sequence[Message]) -> list[Position]:
        return self.submit([(topic, messages)]).result()[0]

    def submit(self, writes: Sequence[tuple[str, Sequence[Message]]]) -> Future[list[list[Position]]]:
        request = StoreRequest([self._batch(topic, messages) for topic, messages in writes])
        request.records = sum(batch.records for batch in request.batches)
        request.size = sum(len(c.body) + len(c.sizes) for b in request.batches for cs in b.chunks.values() for c in cs)
        if request.records == 0:
            self._check_open()
            request.future.set_result([[] for _ in writes])
        else:
            self._enqueue(request)
        return request.future

    def commit(self, group: str, positions: dict[str, dict[int, int]]) -> None:
        check_group(group)
        rows = []
        for topic, by_partition in positions.items():
            partitions = self._partitions(topic)
            for partition, offset in by_partition.items():
                check_partition(topic, partition, partitions)
                rows.append((group, topic, partition, checked_offset(topic, offset)))
        request = StoreRequest([], rows)
        self._enqueue(request)
        request.future.result()

    def _batch(self, topic: str, messages: Sequence[Message]) -> SubmittedBatch:
        check_messages(topic, messages, LARGEST_PART)
        partitions = self._partitions(topic)
        if partitions == 1:
            return SubmittedBatch(topic, len(messages), None, {0: pack(messages)})
        order = [crc32(key) % partitions for key, _ in messages]
        split: defaultdict[int, list[Message]] = defaultdict(list)
        for partition, message in zip(order, messages, strict=True):
            split[partition].append(message)
        return SubmittedBatch(topic, len(messages), order, {p: pack(part) for p, part in split.items()})

    def _enqueue(self, request: StoreRequest) -> None:
        with self._work:
            self._refuse_closed()
            records = self._waiting_records + request.records
            size = self._waiting_bytes + request.size
            if self._waiting_records and (records > self._queue_limit or size > self._queue_bytes):
                raise Backpressure(
                    f"Event log: wanted at most {self._queue_limit} messages and {self._queue_bytes} bytes to"
                    f" wait for the disk, got {records} and {size}; pause, then send the same again"
                )
            self._waiting_records, self._waiting_bytes = records, size
            self._queue.append(request)
            self._work.notify()

    # --- the writing thread

    def _run(self) -> None:
        while (requests := self._take()) is not None:
            running = [r for r in requests if r.future.set_running_or_notify_cancel()]
            self._release([r for r in requests if r.future.cancelled()])
            if running:
                self._store(running)

    def _take(self) -> list[StoreRequest] | None:
        """All waiting submits; blocks for the first; None once the log is closed and nothing is left."""
        with self._work:
            while not self._queue:
                if self._closed:
                    return None
                self._work.wait()
            requests, self._queue = self._queue, []
            return requests

    def _store(self, requests: list[StoreRequest]) -> None:
        """Store and answer. If all together fail, each is tried alone, so that only faulty ones fail."""
        try:
            results = self._transaction(requests)
        except Exception as error:
            if len(requests) > 1:
                for request in requests:
                    self._store([request])
            else:
                self._release(requests)
                requests[0].future.set_exception(explain(error))
            return
        self._release(requests)
        for request, result in zip(requests, results, strict=True):
            request.future.set_result(result)

    def _release(self, requests: list[StoreRequest]) -> None:
        """Make room in the queue, before the answer, so that the caller can submit again."""
        with self._work:
            self._waiting_records -= sum(request.records for request in requests)
            self._waiting_bytes -= sum(request.size for request in requests)

    def _transaction(self, requests: list[StoreRequest]) -> list[list[list[Position]]]:
        """One transaction, one sync. Nothing in memory changes unless it succeeds."""
        ends = {batch.topic: list(self._ends[batch.topic]) for r in requests for batch in r.batches}
        chunks: defaultdict[tuple[str, int], list[Chunk]] = defaultdict(list)
        starts = {topic: tuple(next_) for topic, next_ in ends.items()}
        results = []
        for request in requests:
            results.append([place(batch, ends[batch.topic]) for batch in request.batches])
            for batch in request.batches:
                for partition, packed in batch.chunks.items():
                    chunks[batch.topic, partition] += packed
        stored = stored_chunks(chunks, starts, self._clock())
        commits = [position for request in requests for position in request.commits]
        self._in_transaction(lambda: self._write(stored, commits))
        self._publish(ends, stored, commits)
        return results

    def _in_transaction(self, work: Callable[[], None]) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            work()
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _write(self, stored: Mapping[tuple[str, int], list[Stored]], commits: list[Committed]) -> None:
        for (topic, partition), chunks in stored.items():
            insert(self._db, ChunkPlace(topic, partition), chunks)
        store_commits(self._db, commits)

    def _publish(
        self, ends: dict[str, list[int]], stored: Mapping[tuple[str, int], list[Stored]], commits: list[Committed]
    ) -> None:
        self._commits.set(commits)
        for (topic, partition), chunks in stored.items():
            self._tails.add(topic, partition, chunks)
        with self._grown:
            self._ends.update(ends)
            self._grown.notify_all()

    # --- reading

    def read(self, topic: str, partition: int, offset: int, limit: int) -> list[Record]:
        check_partition(topic, partition, self._partitions(topic))
        end = self._ends[topic][partition]
        if checked_offset(topic, offset) >= end or limit <= 0:
            self._check_open()
            return []
        wanted = range(offset, offset + limit)
        stored = self._tails.holding(topic, partition, wanted)
        if stored is None:
            with self._reader() as db:
                stored = load(db, ChunkPlace(topic, partition), wanted, end)
        records: list[Record] = []
        for first, at, chunk in stored:
            records += unpack(partition, first, chunk, at, wanted)
        return records

    def ends(self, topic: str) -> list[int]:
        self._check_open()
        self._partitions(topic)
        return list(self._ends[topic])

    def committed(self, group: str, topic: str) -> list[int]:
        self._check_open()
        committed = self._commits.of(group, topic)
        return [committed.get(partition, 0) for partition in range(self._partitions(topic))]

    def wait(self, topic: str, beyond: Sequence[int], timeout: float) -> bool:
        partitions = self._partitions(topic)
        check_beyond(topic, beyond, partitions)

        def grown() -> bool:
            return self._closed or any(end > known for end, known in zip(self._ends[topic], beyond, strict=True))

        with self._grown:
            result = self._grown.wait_for(grown, timeout)
            self._refuse_closed()
            return result

    @contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        """A connection for one thread at a time. As many are kept as ever read at once."""
        self._check_open()
        try:
            db = self._idle_readers.pop()
        except IndexError:
            with self._asking():
                db = connect(self._path)
        try:
            with self._asking():
                yield db
        finally:
            self._idle_readers.append(db)
            if self._closed:
                self._close_readers()

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """The faults of SQLite that are not damage: something is missing that may return."""
        try:
            yield
        except sqlite3.Error as error:
            raise Backpressure(
                f"Event log {self._path}: wanted to read the file, got {error}; check the disk and the limit of open"
                " files, then try again",
                code="log_unavailable",
            ) from error

    # --- the rest

    def blank(self, topic: str, partition: int, offsets: Collection[int]) -> None:
        """Take records out for good: see `sqlite_blank`. Blocks. The journal has their bytes until `purge`."""
        check_partition(topic, partition, self._partitions(topic))
        self._check_open()
        blank(self._path, ChunkPlace(topic, partition), offsets, self._ends[topic][partition])
        self._tails.forget(topic, partition)

    def purge(self) -> bool:
        """Truncate the journal; see `sqlite_blank`. Blocks."""
        self._check_open()
        return purge(self._path)

    def close(self) -> None:
        with self._closing:
            with self._work:
                if self._closed and not self._writer.is_alive():
                    return
                self._closed = True
                self._work.notify_all()
                self._grown.notify_all()
            self._writer.join()
            self._close_readers()
            self._db.close()  # the last connection also folds the journal into the file
            self._file_lock.release()

    def _close_readers(self) -> None:
        while True:
            try:
                self._idle_readers.pop().close()
            except IndexError:
                return

    def _check_open(self) -> None:
        if self._closed:
            self._refuse_closed()

    def _refuse_closed(self) -> None:
        if self._closed:
            raise closed(self._path)

    def _partitions(self, topic: str) -> int:
        ends = self._ends.get(topic)
        if ends is None:
            raise unknown_topic(self._ends)
        return len(ends)
