"""Orders, folded from what was told of them: one SQL text for states, rules, reports and analysts.

The fold is a function of the set of rows in `order_tellings`, whatever their order. `docs/orders.md` defines it.
"""

from typing import Final

from schemas.orders import CANCELLED, PLACED, REFUNDED, UPDATED

_RANK: Final = "(t.1, t.2, t.3, t.4)"
"""Of several tellings the least counts: trust of the source, receipt, place, key."""
_LATE: Final = "(t.6, t.2, t.3, t.4)"
"""The total order of events: time, receipt, place, key."""

_PLACES: Final = f"kind = '{PLACED}'"
_NAMES: Final = f"kind IN ('{PLACED}', '{UPDATED}') AND t.9"
_REFUNDS: Final = f"kind = '{REFUNDED}'"

_FACTS: Final = """SELECT doc, kind, if(fact = 0, key, fact) AS told,
    argMin((trust, received_at, place, key, node, time, amount, currency, known), (trust, received_at, place, key)) AS t
    FROM {tellings} WHERE {where} GROUP BY doc, kind, told"""

_FOLD: Final = f"""SELECT doc,
    countIf({_PLACES}) > 0 AS placed,
    countIf(kind = '{CANCELLED}') > 0 AS cancelled,
    if(placed, argMinIf((t.5, t.6, t.4), {_RANK}, {_PLACES}), argMin((t.5, t.6, t.4), {_RANK})) AS first,
    argMaxIf(t.7, {_LATE}, {_NAMES}) AS amount,
    argMaxIf(t.8, {_LATE}, {_NAMES} AND t.8 != '') AS currency,
    groupArrayIf((t.6, t.8, t.7), {_REFUNDS} AND t.9) AS given,
    countIf({_REFUNDS} AND NOT t.9) > 0 AS whole,
    minIf(t.6, {_REFUNDS} AND NOT t.9) AS whole_at
    FROM ({_FACTS}) GROUP BY doc"""

_REFUNDED: Final = f"""SELECT *, arrayFilter(one -> one.2 != '',
    arrayMap(one -> (one.1, if(one.2 = '', currency, one.2), one.3), given)) AS parts,
    toDecimal256(amount, 6) - arraySum(one -> if(one.2 = currency, toDecimal256(one.3, 6), toDecimal256(0, 6)), parts)
        AS rest
    FROM ({_FOLD})"""

_DOCUMENTS: Final = f"""SELECT doc, first.1 AS node, first.2 AS time, first.3 AS key, placed, cancelled, currency,
    amount, arraySort(arrayConcat(parts, if(whole AND currency != '' AND rest > 0,
        [(whole_at, currency, toDecimal128(rest, 6))], []))) AS refunds
    FROM ({_REFUNDED})"""


def documents(where: str = "1", tellings: str = "order_tellings") -> str:
    """SQL: one row for each order: `doc`; `node` that its money belongs to, 0 for nobody; `time` and `key` of the event
    that says so; whether it was `placed` and `cancelled`; `currency` ('': none is known) and `amount`; and its
    `refunds`: (time, currency, amount).

    `where`: a condition on columns of `order_tellings` that takes all rows of a document or none.
    """
    return _DOCUMENTS.replace("{tellings}", tellings).replace("{where}", where)


def movements(where: str = "1", tellings: str = "order_tellings") -> str:
    """SQL: what each order adds to the metrics of its node, one row for each order and refund: `doc`, `node`, `key`,
    `time`, `kind` ('order' or 'refund'), whether it `counts` (its order is not cancelled), `currency` and `amount`. A
    refund stands on its own date.
    """
    return (
        "SELECT doc, node, key, move.1 AS time, move.2 AS kind, NOT cancelled AS counts, move.3 AS currency,"
        " move.4 AS amount FROM (SELECT doc, node, key, cancelled, arrayJoin(arrayConcat("
        "if(placed, [(time, 'order', currency, amount)], []),"
        " arrayMap(one -> (one.1, 'refund', one.2, one.3), refunds))) AS move"
        f" FROM ({documents(where, tellings)}))"
    )


def totals(where: str = "1", tellings: str = "order_tellings") -> str:
    """SQL: the sums of each node's orders, a row each: `node`, orders `placed`, of them those that were `cancelled`,
    and `revenue` and `refunds` as (currency, amount as text)."""
    return (
        "SELECT node, sumIf(times, kind = 'order') AS placed, sumIf(times, kind = 'order' AND NOT counts) AS cancelled,"
        f" {_by_currency('order')} AS revenue, {_by_currency('refund')} AS refunds FROM (SELECT node, kind, counts,"
        " currency, sum(toDecimal256(amount, 6)) AS total, count() AS times"
        f" FROM ({movements(where, tellings)}) GROUP BY node, kind, counts, currency) GROUP BY node"
    )


def _by_currency(kind: str) -> str:
    return f"groupArrayIf((currency, toString(total)), kind = '{kind}' AND counts AND currency != '')"
