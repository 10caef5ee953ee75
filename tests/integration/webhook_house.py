"""A log, a registry and a table for the tests of the trigger stage."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from destinations.delivery import DeliveryRow
from destinations.senders.choice import senders
from destinations.stage import TriggerStage
from eventlog.sqlite import SqliteEventLog
from registry.guard import Lookup, system_lookup
from registry.registry import Registry
from schemas import topics
from tests.integration.deliveries_table import Table

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SECOND = 1000
MINUTE = 60 * SECOND


class House:
    """A log, a registry and a table that outlive the stages started on them."""

    def __init__(self, path: Path) -> None:
        self.now = 1_900_000_000_000
        self.log = SqliteEventLog(path / "log.db")
        self.registry = Registry(self.log, self.clock)
        self.table = Table()
        self._transitions = 0
        self.allows: Callable[[str, int], bool] = lambda purpose, profile: True
        """Whether a profile allows a purpose at this moment."""

    def clock(self) -> int:
        return self.now

    def declare(self, id: str, url: str, *, on: tuple[str, ...] = ("entered", "exited"), **more: Any) -> None:
        body = {"segment": "vip", "on": list(on), "webhook": {"url": url, "secret": SECRET}, **more}
        self.registry.declare("trigger", id, body, "test")

    def tell(self, *changes: tuple[int, str], cause: str = "event", segment: str = "vip", **more: Any) -> list[str]:
        """Append transitions (profile, kind); their ids."""
        records = []
        for profile, kind in changes:
            self._transitions += 1
            record = {
                "id": f"t{self._transitions}",
                "segment": segment,
                "version": 1,
                "profile": f"{profile:032x}",
            }
            records.append(record | {"kind": kind, "at": self.now, "entered_at": self.now, "cause": cause} | more)
        self.log.append(topics.SEGMENTS, [(r["profile"].encode(), orjson.dumps(r)) for r in records])  # type: ignore[attr-defined]
        return [str(record["id"]) for record in records]

    def stage(
        self,
        *,
        allow_private: bool = True,
        lookup: Lookup = system_lookup,
        ssl_context: ssl.SSLContext | None = None,
        reached: Callable[[str], None] = lambda step: None,
    ) -> TriggerStage:
        return TriggerStage(
            self.log,
            self.registry,
            lambda profiles: {p: [{"type": "user_id", "value": f"u{p}"}] for p in profiles},
            lambda purpose, profiles: {profile for profile in profiles if self.allows(purpose, profile)},
            self.table.write,
            self.table.pending,
            senders(self.clock, allow_private=allow_private, lookup=lookup, ssl_context=ssl_context),
            clock=self.clock,
            random=lambda: 0.0,
            reached=reached,
        )

    @contextmanager
    def running(self, **options: Any) -> Iterator[TriggerStage]:
        stage = self.stage(**options)
        stage.start()
        try:
            yield stage
        finally:
            stage.stop()
            assert stage.status().error == ""

    def row(self) -> DeliveryRow:
        [row] = self.table.rows()
        return row

    def committed(self) -> bool:
        return all(
            self.log.committed("triggers", topic) == self.log.ends(topic)
            for topic in (topics.SEGMENTS, topics.DELIVERIES)
        )
