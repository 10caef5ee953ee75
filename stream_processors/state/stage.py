"""What a stage of the cluster offers its host, and what the host promises.

A host (the Faust worker, a test) is told by the consumer group which partitions of a stage's topic are its own, and
drives the stage with them. Everything that makes effects come once is inside of the stage; the host only has to keep
the order of the calls. `docs/scaling.md` says what holds when it is killed between any two of them.

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

    Several objects of one stage, in several processes, share the partitions of `topic`: one owner each. That two of
    them believe to own one partition for a while (a zombie, stopped and woken up) is harmless.
    """

    @property
    def name(self) -> str:
        """The stage's name in `stream_processors.flow.topology`, for logs and metrics."""
        ...

    @property
    def topic(self) -> str:
        """The topic whose partitions are shared out."""
        ...

    @property
    def group(self) -> str:
        """The consumer group whose committed positions in `topic` say how far the stage has come."""
        ...

    def assign(self, partitions: Collection[int], generation: int) -> dict[int, int]:
        """Take these partitions over, beside those that are held already; returns the next offset to read of each.

        Blocks while what an earlier owner began is finished: seconds, for the identity stage as long as folding its
        whole topic takes. The host reads on from the answer, which may lie before or after what was committed.

        `generation`: the consumer group's at this assignment, from 1; whoever gets a partition later gets it under a
        higher one. Assigning a partition that is held takes it over anew. Raises `Superseded` where a later owner has
        been there, and whatever the log or the warehouse raise; none of `partitions` is held then.
        """
        ...

    def revoke(self, partitions: Collection[int]) -> None:
        """Let go: when this returns nothing is under way for these, and nothing will be written. Others stay.

        Between two `process`; does not fail. Partitions that are not held are ignored.
        """
        ...

    def process(self, records: Sequence[Record]) -> None:
        """See to records of held partitions: of each partition a run without gaps, in order, from its next offset on.

        Durable on return: the host may then commit the offset after the last record of each partition. On an
        exception nothing may be committed, and the host calls again with the same records, with more from the same
        offsets on, or lets go and assigns again. Records that were seen to before may be given again, too (a host
        that rewinds). Bad records are the stage's affair (kept in simorgh.rejected), never an exception.

        Raises `Superseded` where another has taken a partition over: the host stops working on what it holds and
        joins the group again. Blocks: a thousand records take some tens of milliseconds.
        """
        ...

    def idle(self) -> None:
        """Work that no record starts: what time changes, what people declare. For a host to call between batches,
        some ten times a second, as long as it runs. Quick where there is nothing to do; raises as `process` does.
        """
        ...


class Superseded(Broken):
    """Another owner has taken the partition over under a higher generation: this one must let go."""

    default_code = "superseded"
