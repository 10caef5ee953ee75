"""What every role has, on one box and on a cluster: declarations, identity rules, and the door that they make."""

import threading
from typing import Any

from eventlog.port import EventLog
from identity.rules import DEFAULT_RULES, IdentityRules
from producers.door import Defaults, Door
from registry.registry import Registry
from schemas import topics
from schemas.catalog import Catalog
from schemas.clock import random_id, system_clock
from schemas.errors import SimorghError
from simorgh.settings import Settings

_LOOK_SECONDS = 0.5


class Declarations:
    """The registry, and what follows from it. All methods may be called from any thread."""

    def __init__(self, log: EventLog, settings: Settings, secret: bytes) -> None:
        self._log = log
        self.registry = Registry(
            log,
            system_clock,
            env_write_key=_plain(settings.write_key),
            env_token=_plain(settings.api_token),
        )
        self._parsed_rules: tuple[object, IdentityRules] | None = None
        defaults = Defaults(
            transit=round(settings.transit_seconds * 1000),
            region=settings.phone_region,
            currency=settings.currency or "",
        )
        self.door = Door(secret, settings.workspace, self.rules, Catalog.load(), random_id, defaults)
        self._over = threading.Event()

    def rules(self) -> IdentityRules:
        """The identity rules in force. Cheap: asked for every event, parsed once per declaration."""
        declared = self.registry.rules
        if declared is None:
            return DEFAULT_RULES
        if self._parsed_rules is None or self._parsed_rules[0] is not declared:
            self._parsed_rules = (declared, IdentityRules.parse(dict(declared)))
        return self._parsed_rules[1]

    def follow(self) -> None:
        """Read on, in a thread, what other processes declare: within a second of its being declared."""
        threading.Thread(target=self._follow, name="declarations", daemon=True).start()

    def _follow(self) -> None:
        while not self._over.is_set():
            try:
                if self._log.wait(topics.REGISTRY, [self.registry.position], _LOOK_SECONDS):
                    self.registry.refresh()
            except SimorghError:
                self._over.wait(_LOOK_SECONDS)  # the log is away: what is known holds until it is back

    def close(self) -> None:
        self._over.set()


def _plain(secret: Any) -> str | None:
    return None if secret is None else secret.get_secret_value()
