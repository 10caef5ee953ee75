"""Forgetting people: what the declarations stage does once identity has taken their nodes from everybody.

Side effects of `destroy`, in order, once rejected events are in their table. All may be done again: a crash anywhere
begins the round anew.

  1 keys, rejected    of rejected events that name the person
  2 simorgh.registry  `erased`: the person's nodes; every door refuses them from now on
  3 keys              destroyed: nothing that is read from the log from here on is opened

of `forget`, once all processes know that (`Keyring.is_known`; one machine is one process):

  4 keys, rejected    again: what another process drew, or took for rejected, before it knew
  5 tables            rows about the nodes, and views of the profile; also in a generation that is being built
  6 simorgh.registry  `erasure`, unreadable

and of `step`, for those that have been unreadable for some seconds:

  7 keys, tables      again: what another process wrote of a batch that it had opened
  8 keys              the bytes, in files that are written anew; on a cluster this takes hours
  9 tables            again, and the bytes, in parts that are written anew
 10 simorgh.registry  `erasure`, destroyed

Beside these, once an hour, keys and rows of everybody who was ever forgotten are looked for and destroyed: a process
that stood still for hours may write what it had begun, before it learns what happened meanwhile.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from typing import Final

import orjson

from eventlog.port import EventLog, Record
from identity.nodes import from_hex
from privacy.keyring import Keyring, Name
from registry.erasures import ERASED, ERASURE, KINDS, Erasure, Erasures
from registry.models import by_projections
from schemas import topics
from schemas.clock import Clock
from schemas.errors import SimorghError
from stream_processors.checkpoints import Checkpoint, no_checkpoint
from stream_processors.flow import rejected
from warehouse import forgetting
from warehouse.client import Writer

_LOG: Final = logging.getLogger(__name__)
_READ: Final = 20_000
_AT_ONCE: Final = 200
"""Requests whose rows are deleted together."""
_SETTLED_MS: Final = 5_000
"""How long another process may hold a batch that it read before the keys were destroyed."""
_STRAYS_MS: Final = 3_600_000
_STRAYS: Final = 1_000
"""Nodes that are looked at in one step."""
_SHORTEST: Final = 4
"""Characters of a text that is looked for in rejected events: a shorter one is in too many."""

_FOUND: Final = """SELECT node, any(detail) FROM decisions
    WHERE node IN {nodes:Array(UInt128)} AND outcome = 'erased' GROUP BY node"""


class Eraser:
    """One thread, the one of the declarations stage."""

    def __init__(
        self,
        log: EventLog,
        writer: Writer,
        keys: Keyring,
        clock: Clock,
        checkpoint: Checkpoint = no_checkpoint,
    ) -> None:
        self._log = log
        self._writer = writer
        self._keys = keys
        self._clock = clock
        self._checkpoint = checkpoint
        self._position = 0
        self._erasures = Erasures()
        self._waiting: list[tuple[Erasure, list[int]]] = []
        """Requests whose keys are destroyed, with their nodes."""
        self._texts: set[str] = set()
        """What rejected events of these people may hold."""
        self._purging: list[Erasure] = []
        self._replaced: list[tuple[Writer, forgetting.Parts]] = []
        """The parts that were written anew for those; [] before that."""
        self._strays: list[int] = []
        """Nodes whose keys and rows are still to be looked for."""
        self._strays_at = clock()

    def begin(self) -> Callable[[], bool]:
        """Returns whether `destroy` may follow: rejected events are in their table up to the present end."""
        end = self._log.ends(topics.REJECTED)[0]
        return lambda: self._log.committed(rejected.GROUP, topics.REJECTED)[0] >= end

    def destroy(self) -> Callable[[], bool]:
        """Destroy the keys of everybody whose request identity has taken in. Returns whether `forget` may follow."""
        requested = [one for one in self._read_on() if one.state == "requested"]
        self._waiting, self._texts = [], set()
        for start in range(0, len(requested), _AT_ONCE):
            found = self._with_nodes(requested[start : start + _AT_ONCE])
            self._destroy(found)
            self._waiting += found
        return self._keys.is_known

    def _destroy(self, requests: Sequence[tuple[Erasure, list[int]]]) -> None:
        everybody = {node for _, nodes in requests for node in nodes}
        names = self._keys.last_names(everybody)
        texts = _texts(names.values()) | {f"{node:032x}" for node in everybody}
        self._texts |= texts
        self._forget_rejected(texts)
        self._say([(ERASED, one.id, {"nodes": [f"{node:032x}" for node in nodes]}) for one, nodes in requests if nodes])
        self._checkpoint("erased")
        if everybody:
            self._keys.destroy(everybody)
            self._checkpoint("keys destroyed")

    def forget(self) -> None:
        """Rid the tables of those whose keys are destroyed."""
        self._forget_rejected(self._texts)
        for start in range(0, len(self._waiting), _AT_ONCE):
            requests = self._waiting[start : start + _AT_ONCE]
            everybody = {node for _, nodes in requests for node in nodes}
            self._keys.destroy(everybody)
            self._forget(everybody)
            self._say([(ERASURE, one.id, {"state": "unreadable" if nodes else "nobody"}) for one, nodes in requests])
            self._checkpoint("unreadable")
            _LOG.info("privacy: %d requests for erasure: unreadable", len(requests))
        self._waiting, self._texts = [], set()

    def _forget_rejected(self, texts: Collection[str]) -> None:
        found = forgetting.rejected_of(self._writer, texts)
        if found:
            self._keys.destroy([self._keys.node_of_rejection(*one) for one in found])
            for writer in self._writer.and_later():
                forgetting.forget_rejected(writer, [digest for _, _, digest in found])
            self._checkpoint("rejected events destroyed")

    def _forget(self, nodes: Collection[int]) -> None:
        if nodes:
            for writer in self._writer.and_later():
                forgetting.forget(writer, nodes, nodes)
            self._checkpoint("rows deleted")

    def _with_nodes(self, requests: Sequence[Erasure]) -> list[tuple[Erasure, list[int]]]:
        """Each with the nodes of the profile when identity came to the request; [] where there was none. A profile is
        named by one of its nodes, so that they are all the names that it ever had."""
        profiles = {from_hex(one.profile) for one in requests}
        details = dict(self._writer.rows(_FOUND, {"nodes": sorted(profiles)}))
        nodes = {
            profile: [from_hex(node) for node in orjson.loads(detail)["nodes"]] for profile, detail in details.items()
        }
        return [(one, nodes.get(from_hex(one.profile), [])) for one in requests]

    def step(self) -> bool:
        """See to the bytes of those that are unreadable; never waits. Whether there was anything to do."""
        try:
            return self._look_for_strays() or self._purge()
        except BaseException:
            self._purging, self._replaced = [], []
            raise

    def _look_for_strays(self) -> bool:
        """Whether there were any among the nodes that were looked at."""
        now = self._clock()
        if now - self._strays_at >= _STRAYS_MS:
            self._strays_at = now
            self._read_on()
            self._strays = sorted(self._erasures.nodes)
        some, self._strays = self._strays[:_STRAYS], self._strays[_STRAYS:]
        found = self._keys.destroy(some) if some else 0
        if some and (found or forgetting.tells_of(self._writer, some)):
            self._forget(some)
            _LOG.warning("privacy: somebody wrote of people who had been forgotten; it is destroyed (%d keys)", found)
            return True
        return False

    def _purge(self) -> bool:
        if not self._purging:
            self._purging = self._settled()
            if not self._purging:
                return False
            self._keys.destroy(_nodes_of_all(self._purging))
            self._forget(_nodes_of_all(self._purging))
        if not self._replaced:
            if not self._keys.purge():
                return False
            self._forget(_nodes_of_all(self._purging))
            self._replaced = [(writer, forgetting.purge(writer)) for writer in self._writer.and_later()]
            return True
        if not all(forgetting.is_purged(writer, replaced) for writer, replaced in self._replaced):
            return False
        self._say([(ERASURE, one.id, {"state": "destroyed"}) for one in self._purging])
        _LOG.info("privacy: %d requests for erasure: destroyed", len(self._purging))
        self._purging, self._replaced = [], []
        return True

    def _settled(self) -> list[Erasure]:
        now = self._clock()
        return [
            one
            for one in self._read_on()
            if one.state == "unreadable" and now - (one.unreadable_at or 0) >= _SETTLED_MS
        ]

    # ---- the registry

    def _read_on(self) -> list[Erasure]:
        """The requests that are not seen to."""
        while records := self._log.read(topics.REGISTRY, 0, self._position, _READ):
            for record in records:
                if b'"eras' in record.value:
                    self._fold(record)
            self._position = records[-1].offset + 1
        return list(self._erasures.unfinished.values())

    def _fold(self, record: Record) -> None:
        try:
            said = orjson.loads(record.value)
            if said["kind"] in KINDS:
                self._erasures.fold(
                    record.offset, said["kind"], str(said["id"]), said["body"], int(said["at"]), str(said["by"])
                )
        except (ValueError, TypeError, LookupError, SimorghError) as error:
            _LOG.warning("registry record %d is left out: %s", record.offset, type(error).__name__)

    def _say(self, said: Sequence[tuple[str, str, dict[str, object]]]) -> None:
        if said:
            self._log.append(topics.REGISTRY, [by_projections(*one, self._clock()) for one in said])


def _nodes_of_all(requests: Sequence[Erasure]) -> set[int]:
    return {from_hex(node) for one in requests for node in one.nodes}


def _texts(names: Collection[Name]) -> set[str]:
    found = {text for name in names for text in (name.value, name.normalised)}
    return {text for text in found if len(text) >= _SHORTEST}
