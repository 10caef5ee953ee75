"""What every installation of the laws has: a clock that stands, what is written and declared, the members in full."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from eventlog.port import EventLog, Message
from identity.graph import IdentityGraph
from privacy.keyring import Keyring, Names, no_names
from privacy.log import SealedLog
from privacy.sqlite import SqliteKeys
from producers.door import Refused, Verdict
from registry.registry import Registry
from schemas import topics
from segments.computed import bound
from segments.rule import parse_rule
from segments.sql import compile_sql
from segments.tree import Computation
from stream_processors.flow.declarations import Declarations
from stream_processors.state.live_segments import LiveSegments
from tests.properties.segments_world import T0
from warehouse.client import Warehouse, Writer


class Clock:
    """Stands still until it is moved."""

    def __init__(self, now: int = T0) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


class Installation:
    """What happens to it from outside, and what its rows say."""

    clock: Clock
    log: EventLog
    registry: Registry
    keyring: Keyring | None = None
    """Where events are sealed."""
    _keys: tuple[Path, bytes] | None = None

    def seal(self, path: Path, secret: bytes) -> None:
        """From now on events are sealed, under keys in this file."""
        self._plain, self._keys = self.log, (path, secret)
        self._keyrings: list[Keyring] = []
        self.open_keys()

    def open_keys(self) -> None:
        """As a new process does: it knows of the keys what the file says."""
        if self._keys is not None:
            path, secret = self._keys
            self.keyring = Keyring(SqliteKeys(path), secret)
            self._keyrings.append(self.keyring)
            self.log = SealedLog(self._plain, self.keyring)
            self.keyring.leave_out(self._forgotten)

    def _forgotten(self) -> set[int]:
        self.registry.refresh()
        return self.registry.erasures.nodes

    def close_log(self) -> None:
        """And what it is sealed under."""
        if self._keys is None:
            self.log.close()
            return
        self._plain.close()
        for keyring in self._keyrings:
            keyring.close()

    @property
    def names(self) -> Names:
        return self.keyring.names if self.keyring else no_names

    @property
    def writer(self) -> Writer:
        """Of the live generation."""
        raise NotImplementedError

    def write(self, topic: str, messages: Sequence[Message]) -> None:
        if messages:
            self.log.append(topic, messages)

    def declare(self, kind: Any, id: str, body: dict[str, Any]) -> None:
        self.registry.declare(kind, id, body, "tests")

    def command(self, kind: str, **body: Any) -> None:
        self.declare(kind, f"c{self.log.ends(topics.REGISTRY)[0]}", {"reason": "tests", **body})

    def rules(self) -> dict[str, dict[str, Any]]:
        """Of the segments whose latest declaration is in effect."""
        self.registry.refresh()
        aside = {name for name, effect in self.registry.effects.items() if effect.aside is not None}
        return {name: segment.rule for name, segment in self.registry.segments.items() if name not in aside}

    def traits(self) -> dict[str, Computation]:
        """The computed traits whose latest declaration is in effect, with their recorded constants."""
        live = LiveSegments(self.log)
        live.read_on()
        return {name: computation for name, (computation, _) in live.segments.traits.items()}

    def full(self) -> dict[str, set[int]]:
        """The members of every segment, computed from the rows in full, at this instant."""
        traits = self.traits()
        rules = {name: bound(parse_rule(rule), traits.get) for name, rule in self.rules().items()}
        queries = {name: compile_sql(rule, self.clock(), rules.__getitem__) for name, rule in rules.items()}
        return {name: {row[0] for row in self.writer.rows(q.sql, q.parameters)} for name, q in queries.items()}

    def append(self, verdicts: Iterable[Verdict]) -> None:
        """What a collector does with the door's answers, in one write each."""
        accepted: list[Message] = []
        refused: list[Message] = []
        for verdict in verdicts:
            if isinstance(verdict, Refused):
                refused += [verdict.message] if verdict.message else []
            else:
                accepted.append(verdict)
        self.write(topics.EVENTS, accepted)
        self.write(topics.REJECTED, refused)


class House(Installation, ABC):
    """A box, or a cluster. Laws are written against this, and hold on both."""

    warehouse: Warehouse

    @property
    @abstractmethod
    def generation(self) -> int:
        """The live one."""

    @property
    def writer(self) -> Writer:
        """Of the live generation."""
        return self.warehouse.writer(self.generation)

    @property
    @abstractmethod
    def graph(self) -> IdentityGraph:
        """Who is who."""

    @property
    @abstractmethod
    def declarations(self) -> Declarations:
        """Those of whoever puts declarations into effect."""

    @abstractmethod
    def settle(self) -> None:
        """Until there is nothing to do at this instant."""

    @abstractmethod
    def restart(self) -> None:
        """As after a kill of every process: what they had not begun to write is never written."""

    @abstractmethod
    def replay(self) -> None:
        """Rebuild everything in the next generation, and go on with that."""

    @abstractmethod
    def forget_states(self) -> None:
        """Empty the caches of profiles."""

    @abstractmethod
    def transitions(self) -> list[dict[str, Any]]:
        """What was published and counts, in the order of the topic."""

    @abstractmethod
    def close(self) -> None:
        """End every process, and drop the tables."""

    def told(self) -> dict[str, set[int]]:
        """The members of every segment, folded from what was published; nobody enters or leaves twice."""
        members: dict[str, set[int]] = {name: set() for name in self.rules()}
        for one in self.transitions():
            profile, there = int(one["profile"], 16), members.setdefault(one["segment"], set())
            if one["kind"] == "entered":
                assert one["cause"] == "absorbed" or profile not in there, "entered twice"
                there.add(profile)
            else:
                assert profile in there, "left without having been there"
                there.discard(profile)
        return members

    def live_profiles(self) -> list[int]:
        """Of everybody."""
        rows = self.writer.rows("SELECT profile FROM profile_rows FINAL WHERE live ORDER BY profile")
        return [profile for (profile,) in rows]


MakeHouse = Callable[..., AbstractContextManager[House]]
"""Makes a box or a cluster, with the settings that both know: now, partitions, batch, cached_profiles, sealed."""
