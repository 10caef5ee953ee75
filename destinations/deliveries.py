"""The table of deliveries, for the trigger stage and for replay: writing rows, reading pending ones, and identities of
profiles."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, cast

import orjson
import pyarrow as pa

from destinations.delivery import COLUMNS, DeliveryRow, Identity
from warehouse.client import Writer

# A due delivery has a row that says so, though a later row may differ: few candidates, found in two
# narrow columns. Only the latest rows of those chosen are read whole: a body is about 1 KB, and most deliveries are
# done.
_PENDING = """WITH wanted AS (
        SELECT trigger, id, newest FROM (
            SELECT trigger, id, max(ver) AS newest, argMax((status, next_at), ver) AS latest FROM deliveries
            WHERE (trigger, id) IN (
                SELECT trigger, id FROM deliveries
                WHERE status = 'pending' AND next_at <= fromUnixTimestamp64Milli({due:Int64}, 'UTC'))
            GROUP BY trigger, id)
        WHERE latest.1 = 'pending' AND latest.2 <= fromUnixTimestamp64Milli({due:Int64}, 'UTC')
        ORDER BY latest.2, newest LIMIT {limit:UInt64} BY trigger)
    SELECT trigger, id, status, attempts, toUnixTimestamp64Milli(next_at), toUnixTimestamp64Milli(created_at),
        toUnixTimestamp64Milli(updated_at), response_code, error, body, ver
    FROM deliveries WHERE (trigger, id, ver) IN wanted ORDER BY deliveries.next_at, ver LIMIT 1 BY trigger, id"""


def rows(deliveries: Sequence[DeliveryRow]) -> pa.Table:
    stamp = pa.timestamp("ms", "UTC")
    types = {
        "attempts": pa.uint16(),
        "response_code": pa.uint16(),
        "ver": pa.uint64(),
        "next_at": stamp,
        "created_at": stamp,
        "updated_at": stamp,
    }
    each: Sequence[Mapping[str, object]] = deliveries
    return pa.table({name: pa.array([one[name] for one in each], types.get(name, pa.string())) for name in COLUMNS})


def pending(writer: Writer, due_by: int, limit: int) -> list[DeliveryRow]:
    """Deliveries that are pending and due by then, soonest first, at most `limit` of each trigger."""
    found = writer.rows(_PENDING, {"due": due_by, "limit": limit})
    return [cast(DeliveryRow, dict(zip(COLUMNS, row, strict=True))) for row in found]


class ShownTransition(Protocol):
    @property
    def text(self) -> str:
        """JSON with `identifiers`: [type, value, first seen, last seen] each."""
        ...


class ShownBy(Protocol):
    """Looks up profiles. Any thread may call; blocks for a query or two."""

    def owners(self, nodes: Iterable[int]) -> dict[int, int]:
        """The present profile of each node that has one."""
        ...

    def of(self, profiles: Sequence[int]) -> Mapping[int, ShownTransition]:
        """The views of the live ones among these profiles."""
        ...


def identities_of(views: ShownBy, profiles: list[int]) -> dict[int, list[Identity]]:
    """Profile -> its identities; a profile without any is missing. An absorbed profile has the
    identities of its heir: the present profile of its founding node.
    """
    found = dict(views.of(profiles))
    heirs = views.owners(profile for profile in profiles if profile not in found)
    theirs = views.of(list(set(heirs.values())))
    found |= {profile: theirs[heir] for profile, heir in heirs.items() if heir in theirs}
    return {profile: _listed(view.text) for profile, view in found.items()}


def _listed(view: str) -> list[Identity]:
    return [Identity(type=kind, value=value) for kind, value, *_ in orjson.loads(view)["identifiers"]]
