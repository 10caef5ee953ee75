"""`GET /v1/events/conflicts`: facts that were told in several ways, such as one order with two amounts."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import groupby
from typing import Any, Final, NamedTuple

from identity.nodes import profile_id
from profile_api.auth import scope
from profile_api.call import note
from profile_api.cursors import read_cursor, write_cursor
from profile_api.deps import ApiDeps, Deps
from profile_api.models.examples import example
from profile_api.models.operations import FactConflictPage
from profile_api.params import Cursor, Limit
from profile_api.replies import JsonReply, page
from profile_api.routes import guarded
from profile_api.turns import reads_much
from registry.scopes import READ
from schemas.clock import iso
from warehouse.latest import homes

CODE: Final = "conflicting_telling"
_STEP: Final = 500
"""Facts that one query looks at."""
_MOST: Final = 20
"""Such queries for a page: behind them it goes on with the cursor, though it is not full."""

# Whoever told a fact again stands in `retellings`, and all who told it in `tellings`, by fact.
_FACTS = """SELECT DISTINCT fact FROM retellings WHERE fact > {after:UInt128} ORDER BY fact LIMIT {limit:UInt32}"""
_TOLD = f"""WITH facts AS (SELECT arrayJoin({{facts:Array(UInt128)}}) AS fact)
SELECT fact, key, type, source, JSONExtractString(payload, 'id') AS id, amount, currency, home,
    toUnixTimestamp64Milli(received_at) AS received_ms,
    key IN (SELECT key FROM retellings WHERE fact IN (SELECT fact FROM facts)) AS retold
FROM events LEFT JOIN ({homes("node IN (SELECT node FROM tellings WHERE fact IN (SELECT fact FROM facts))")}) AS who
    USING node
WHERE (node, key) IN (SELECT node, key FROM tellings WHERE fact IN (SELECT fact FROM facts))
ORDER BY fact, retold, received_ms, key LIMIT 1 BY fact, key"""


class Disagreement(NamedTuple):
    """A fact, and the rows of its tellings, the one that counts first. `about`: what they disagree on."""

    about: Sequence[str]
    tellings: Sequence[Mapping[str, Any]]


routes = guarded("events")


@routes.get("/v1/events/conflicts", response_model=FactConflictPage, responses=example(FactConflictPage))
@scope(READ)
@reads_much
def conflicting_tellings(deps: Deps, limit: Limit = 100, cursor: Cursor = None) -> JsonReply:
    """List facts, such as orders, that several events report with different amounts or for different customers.

    One of these events counts: that of the most trusted source, otherwise the one received first. A page may have fewer
    items than `limit`, or none, although more follow: continue until there is no `next_cursor`.
    """
    after = read_cursor(deps.secret, "conflicts", cursor, (int,))[0] if cursor else 0
    found: list[Disagreement] = []
    for _ in range(_MOST):
        facts = [row["fact"] for row in deps.reader.rows(_FACTS, {"after": after, "limit": _STEP})]
        for fact, conflict in _disagreements(deps, facts):
            found.append(conflict)
            if len(found) == limit:
                return JsonReply(page([_view(one) for one in found], write_cursor(deps.secret, "conflicts", [fact])))
        if len(facts) < _STEP:
            return JsonReply(page([_view(one) for one in found], None))
        after = facts[-1]
    return JsonReply(page([_view(one) for one in found], write_cursor(deps.secret, "conflicts", [after])))


def _disagreements(deps: ApiDeps, facts: Sequence[int]) -> Iterator[tuple[int, Disagreement]]:
    rows = deps.reader.rows(_TOLD, {"facts": list(facts)}) if facts else []
    for fact, together in groupby(rows, key=lambda row: row["fact"]):
        tellings = list(together)
        about = [
            name
            for name, of in (("money", ("amount", "currency")), ("customer", ("home",)))
            if len({tuple(row[column] for column in of) for row in tellings}) > 1
        ]
        if about:
            yield fact, Disagreement(about, tellings)


def _view(conflict: Disagreement) -> dict[str, Any]:
    note(profiles=[row["home"] for row in conflict.tellings if row["home"]])
    tellings = [
        {
            "source": row["source"],
            "id": row["id"],
            "received_at": iso(row["received_ms"]),
            "profile_id": profile_id(row["home"]) if row["home"] else None,
            "amount": _plain(row["amount"]) if row["currency"] else None,
            "currency": row["currency"] or None,
            "counts": not row["retold"],
        }
        for row in conflict.tellings
    ]
    return {"code": CODE, "type": conflict.tellings[0]["type"], "about": conflict.about, "tellings": tellings}


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize():f}"
