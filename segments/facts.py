"""The input of the live back end about one profile."""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from decimal import Context, Decimal
from typing import Any, Final

from segments.folds import State

_NOTHING: Final = Decimal(0)
_EXACT: Final = Context(prec=60)

Leaves = dict[int, State]
"""One profile's states by leaf number. Numbers belong to one `LiveRules`."""


@dataclass(slots=True)
class ProfileFacts:
    """The facts about one profile that rules may read, updated by the caller.

    Times are ms since epoch; money is exact, by currency; the metrics count the events of all the profile's
    nodes.
    """

    traits: Mapping[str, Any] = field(default_factory=dict)
    consent: Mapping[str, Any] = field(default_factory=dict)
    identity_types: Container[str] = ()
    events: int = 0
    orders: int = 0
    orders_placed: int = 0
    revenue: Mapping[str, Decimal] = field(default_factory=dict)
    refunds: Mapping[str, Decimal] = field(default_factory=dict)
    net_revenue: Mapping[str, Decimal] = field(default_factory=dict)
    first_seen: int | None = None
    last_seen: int | None = None
    sent: Mapping[str, Any] | None = None
    """The traits as they were sent, where rules see computed ones instead (`segments.live_traits`); None: all are."""
    computed: dict[str, str] = field(default_factory=dict)
    """The JSON text of each computed trait that has a value."""
    renewed: bool = True
    """Whether a computed trait has another value than it had when this was last set to False."""
    leaves: Leaves = field(default_factory=dict)
    true_leaves: set[int] | None = None
    """The leaves that held at the last `LiveRules.update`; None: evaluate all (new, merged, reloaded)."""
    due: int | None = None
    """When `LiveRules.update` must be called again even if nothing happens; None: never."""


def net(revenue: Mapping[str, Decimal], refunds: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Revenue without refunds, by currency, exact."""
    return {
        currency: _EXACT.subtract(revenue.get(currency, _NOTHING), refunds.get(currency, _NOTHING))
        for currency in {**revenue, **refunds}
    }


@dataclass(slots=True)
class Pass:
    """One evaluation of one profile: segments decided so far, memberships of the others, shared leaves."""

    facts: ProfileFacts
    now: int
    segments: dict[str, bool]
    current: Container[str]
    leaves: dict[int, bool] = field(default_factory=dict)
