"""The contract between a stage and its host on a cluster.

The consumer group assigns partitions of a stage's topic to a host (the Faust worker, a test), which drives the stage
with them. The stage makes sure that effects happen once; the host only has to keep the order of the calls.
`docs/scaling.md` says what a kill between any two of them means.

    positions = stage.assign({0, 3}, generation)      # blocks; where to read on
    while running:
        records = ...                                  # of these partitions, from `positions` on
        stage.process(records)                         # durable on return
        log.commit(stage.group, {stage.topic: ...})    # the host's: last offset + 1 of each partition
        stage.idle()
    stage.revoke({3})
"""

from collections.abc import Collection, Sequence
from typing import Protocol

from eventlog.port import Record
from schemas.errors import Broken


class Stage(Protocol):
    """One step of the flow on a cluster. All calls come from one thread at a time.

    Several objects of one stage, in several processes, share the partitions of `topic`: one holder each. Two of them
    may take themselves for the holder for a while (a zombie, frozen and resumed), which is harmless.
    """

    @property
    def name(self) -> str:
        """The stage's name in `stream_processors.flow.topology`, for logs and metrics."""
        ...

    @property
    def topic(self) -> str:
        """The topic whose partitions are shared."""
        ...

    @property
    def group(self) -> str:
        """The consumer group whose committed positions in `topic` say how far the stage has come."""
        ...

    def assign(self, partitions: Collection[int], generation: int) -> dict[int, int]:
        """Take these partitions over, in addition to those that are held already; returns the next offset to read of
        each. Blocks while it finishes an earlier holder's work: seconds, for the identity stage as long as folding its
        whole topic takes. The host reads on from these offsets, which may be before or after the committed position.

        `generation`: the consumer group's at this assignment, from 1; later holders of a partition get a higher one.
        Assigning a partition that is held takes it over again. Raises `Superseded` if there was a later holder, and the
        errors of log and warehouse; none of `partitions` is held then.
        """
        ...

    def revoke(self, partitions: Collection[int]) -> None:
        """Release partitions: on return no work for them is running, and nothing will be written. Others stay.

        Between two `process`; does not fail. Partitions that are not held are ignored.
        """
        ...

    def process(self, records: Sequence[Record]) -> None:
        """Process records of held partitions: of each partition a run without gaps, in order, from its next offset on.

        Durable on return: the host may then commit the offset after the last record of each partition. On an exception
        nothing may be committed, and the host calls again with the same records, with more from the same offsets on, or
        releases and assigns again. Processed records may be given again (a host that rewinds). The stage handles bad
        records (they are kept in simorgh.rejected), which are never an exception. Raises `Superseded` if another worker
        has taken a partition over: the host releases its partitions and joins the group again. Blocks: a thousand
        records take some tens of milliseconds.
        """
        ...

    def idle(self) -> None:
        """Work without records: changes by time, and declarations. The host calls it between batches, some ten times a
        second, as long as it runs. Quick if there is no work; raises as `process` does.
        """
        ...


class Superseded(Broken):
    """Another worker has taken the partition over under a higher generation: release it."""

    default_code = "superseded"
