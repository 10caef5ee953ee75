"""Shared by all roles, on one machine and on a cluster: declarations, identity rules, and the door made from them."""

import logging
import random
import threading
from functools import partial

from pydantic import SecretStr

from eventlog.port import RecordLog
from identity.rules import DEFAULT_RULES, IdentityRules
from privacy.keyring import Keyring
from privacy.secret_box import SecretBox
from producers.budgets import Budgets
from producers.door import Defaults, Door
from producers.places import GeoFile
from producers.rehearsal import VendorDesk
from producers.sealer import Sealer
from registry.models import Budget
from registry.registry import Registry
from schemas import topics
from schemas.catalog import Catalog
from schemas.clock import random_id, system_clock
from schemas.retry import Failures, Pauses
from simorgh.settings import Settings

_LOOK_SECONDS = 0.5
_PAUSES = Pauses(0.5, 10.0)
_LOG = logging.getLogger(__name__)


class DeclarationsFollower:
    """The registry, and what follows from it. All methods may be called from any thread."""

    def __init__(self, log: RecordLog, settings: Settings, secret: bytes, keyring: Keyring | None = None) -> None:
        self._log = log
        self.registry = Registry(
            log,
            system_clock,
            env_write_key=_plain(settings.write_key),
            env_token=_plain(settings.api_token),
            returning=settings.returning,
        )
        if keyring is not None:
            keyring.leave_out(lambda: self.registry.erasures.nodes)
        self._parsed_rules: tuple[object, IdentityRules] | None = None
        catalog = Catalog.load()
        self.budgets = Budgets(default_budget(settings), catalog)
        defaults = Defaults(
            transit=round(settings.transit_seconds * 1000),
            region=settings.phone_region,
            currency=settings.currency or "",
        )
        new_door = partial(
            Door,
            secret,
            settings.workspace,
            self.rules,
            catalog,
            random_id,
            defaults,
            forgotten=lambda: self.registry.erasures.nodes,
            returning=lambda: self.registry.erasures.returning,
        )
        self.door = new_door(
            budgets=self.budgets,
            places=None if settings.geo_file is None else GeoFile.open(settings.geo_file),
            sealer=None if keyring is None else Sealer(keyring, secret, settings.workspace, catalog),
        )
        self.box = SecretBox(secret)
        self.desk = VendorDesk(new_door(), self.box, catalog, system_clock, settings.public_url)
        self._over = threading.Event()

    def rules(self) -> IdentityRules:
        """The current identity rules. Cheap: called for every event, parsed once per declaration."""
        declared = self.registry.rules
        if declared is None:
            return DEFAULT_RULES
        if self._parsed_rules is None or self._parsed_rules[0] is not declared:
            self._parsed_rules = (declared, IdentityRules.parse(dict(declared)))
        return self._parsed_rules[1]

    def follow(self) -> None:
        """Read on, in a thread, what other processes declare: each declaration within a second."""
        threading.Thread(target=self._follow, name="declarations", daemon=True).start()

    def _follow(self) -> None:
        failures = Failures(_PAUSES)
        while not self._over.is_set():
            try:
                if self._log.wait(topics.REGISTRY, [self.registry.position], _LOOK_SECONDS):
                    self.registry.refresh()
                failures.clear()
            except Exception as error:  # never the end: a role that stops reading would go by old keys and tokens
                failures.add(error)
                if failures.of_ours and not self._over.is_set():
                    _LOG.error("declarations: cannot be read on; the known ones hold until then", exc_info=error)
                self._over.wait(failures.pause(random.random()))

    def close(self) -> None:
        self._over.set()


def default_budget(settings: Settings) -> Budget:
    """Of a source that declares none."""
    return Budget(
        events_per_second=settings.budget_events_per_second,
        megabytes_per_day=settings.budget_megabytes_per_day,
        types_per_day=settings.budget_types_per_day,
        names_per_day=settings.budget_names_per_day,
        identifiers_per_day=settings.budget_identifiers_per_day,
    )


def _plain(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
