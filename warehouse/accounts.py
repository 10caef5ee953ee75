"""Accounts, as SQL: who belongs to one, which events are its own, and its money. One definition each.

Members are read through identity at reading time, so that merges and splits leave every answer right.
`docs/accounts.md` defines what holds; all of it is a function of the set of rows, whatever their order.
"""

from typing import Final

from schemas.order import KEY_BITS, MOMENT_BITS, NEWEST_FIRST, PLACE_BITS
from warehouse import latest, orders

UNASSIGNED: Final = "unassigned"

_TIME_AT: Final = KEY_BITS + PLACE_BITS + MOMENT_BITS
_RECEIVED_AT: Final = KEY_BITS + PLACE_BITS

MOMENT_OF: Final = f"toInt64(bitShiftRight({{ver}}, {_TIME_AT}))"
"""When the event of a rank happened, in ms."""

_RANK: Final = (
    f"(bitShiftLeft(toUInt256(toUnixTimestamp64Milli(time)), {_TIME_AT})"
    f" + bitShiftLeft(toUInt256(toUnixTimestamp64Milli(received_at)), {_RECEIVED_AT})"
    f" + bitShiftLeft(toUInt256(place), {KEY_BITS}) + toUInt256(key))"
)
"""Of a row of `events`: as in `schemas.order.rank`."""

_STATED: Final = "SELECT node FROM account_events WHERE account IN {accounts:Array(String)} AND states"
_PERSONS: Final = f"SELECT home FROM ({latest.homes(f'node IN ({_STATED})')}) WHERE home != 0"
_NODES: Final = latest.nodes(f"profile IN ({_PERSONS})")
"""`profile` and `node` of everybody of whom anything was said about one of these accounts."""

_ACTIVE: Final = (
    f"arrayFilter(one -> arrayLast(step -> step.2 = one AND step.1 <= {_RANK}, steps).3 = 1, arrayDistinct(steps.2))"
)


def _steps(nodes: str, affiliations: str = "affiliations", where: str = "1") -> str:
    """`profile`, and each change of what it belongs to as `steps`: (rank, account, whether it joined), in order."""
    return (
        "SELECT profile, arraySort(groupArray((ver, account, joined))) AS steps FROM ("
        "SELECT profile, account, ver, joined, lagInFrame(joined, 1, 0) OVER"
        " (PARTITION BY profile, account ORDER BY ver ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS before"
        f" FROM (SELECT node, account, ver, joined FROM {affiliations} WHERE {where}) AS said"
        f" INNER JOIN ({nodes}) AS people USING node) WHERE joined != before GROUP BY profile"
    )


_PEOPLE: Final = (
    f"SELECT node, steps FROM ({_NODES}) AS known"
    f" INNER JOIN ({_steps(_NODES, where=f'node IN (SELECT node FROM ({_NODES}))')}) AS said USING profile"
)
"""Each node of these people, with what they belonged to and when."""

_PLACE: Final = "node, time, part, off, received_at, place, key, type, doc"

_OWN: Final = f"SELECT account, {_PLACE} FROM account_events WHERE account IN {{accounts:Array(String)}}"

_OF_MEMBERS: Final = (
    f"SELECT arrayElement(active, 1) AS account, {_PLACE} FROM ("
    f"SELECT {_PLACE}, {_ACTIVE} AS active FROM (SELECT {_PLACE} FROM events WHERE account = ''"
    f" AND node IN (SELECT node FROM ({_NODES}))) AS happened INNER JOIN ({_PEOPLE}) AS people USING node)"
    " WHERE length(active) = 1 AND arrayElement(active, 1) IN {accounts:Array(String)}"
)
"""Events that name no account, of people who belonged to one only."""

EVENTS: Final = f"{_OWN} UNION ALL {_OF_MEMBERS}"
"""The events of some accounts, with their `account`. An event that was written twice may stand twice."""

_RETOLD: Final = (
    "SELECT key FROM retellings WHERE node IN"
    " (SELECT node FROM account_events WHERE account IN {accounts:Array(String)})"
    f" OR node IN (SELECT node FROM ({_NODES}))"
)

TOTALS: Final = f"""SELECT account, count() AS events, toUnixTimestamp64Milli(min(time)) AS first_ms,
    toUnixTimestamp64Milli(max(time)) AS last_ms
FROM (SELECT * FROM ({EVENTS}) LIMIT 1 BY account, key) WHERE key NOT IN ({_RETOLD}) GROUP BY account"""
"""The events that count, of each of some accounts."""

_TOLD: Final = f"SELECT DISTINCT account, doc, key FROM ({EVENTS}) WHERE doc != 0"
_MOVED: Final = orders.movements(f"doc IN (SELECT doc FROM ({_TOLD}))")

MONEY: Final = f"""SELECT account, kind, currency, count() AS times, sum(toDecimal256(amount, 6)) AS total
FROM ({_MOVED}) AS moved INNER JOIN (SELECT account, key FROM ({_TOLD})) AS own USING key
WHERE counts GROUP BY account, kind, currency"""
"""What the orders of each of some accounts add up to. An order is the account's of the event that it belongs to."""

TIMELINE: Final = f"""SELECT node, toUnixTimestamp64Milli(time) AS ms,
    toUnixTimestamp64Milli(received_at) AS received_ms, place, key, payload, key IN ({_RETOLD}) AS retold
FROM events WHERE (node, time, part, off) IN (
    SELECT node, time, part, off FROM ({EVENTS}) WHERE ({{type:String}} = '' OR type = {{type:String}})
      AND (time, received_at, place, key) < (fromUnixTimestamp64Milli({{ms:Int64}}),
        fromUnixTimestamp64Milli({{received:Int64}}), {{place:UInt64}}, {{key:UInt128}})
    ORDER BY {NEWEST_FIRST} LIMIT 1 BY key LIMIT {{limit:UInt32}})
ORDER BY {NEWEST_FIRST} LIMIT 1 BY key"""
"""A page of the events of one account, newest first."""

_AS_MEMBER: Final = """argMax(joined, ver) AS is_member, maxIf(ver, joined = 0) AS left_at,
    arrayFilter(one -> one > left_at, groupArrayIf(ver, joined = 1)) AS since,
    argMaxIf(ifNull(role, ''), ver, isNotNull(role)) AS role_now,
    argMaxIf(ifNull(reports_to, toUInt128(0)), ver, isNotNull(reports_to)) AS superior"""
"""What holds of one person in one account."""

_SHOWN: Final = f"{MOMENT_OF.format(ver='arrayMin(since)')} AS since_ms, role_now AS role, superior"

_FOLDED: Final = f"""SELECT account, profile, {_AS_MEMBER}
FROM (SELECT * FROM affiliations WHERE account IN {{accounts:Array(String)}} AND node IN ({_STATED})) AS said
INNER JOIN (SELECT node, home AS profile FROM ({latest.homes(f"node IN ({_STATED})")}) WHERE home != 0) AS people
USING node GROUP BY account, profile HAVING is_member = 1"""

MEMBERS: Final = f"""SELECT profile, {_SHOWN}
FROM ({_FOLDED}) WHERE profile > {{after:UInt128}} ORDER BY profile LIMIT {{limit:UInt32}}"""
"""A page of the members of one account, by profile: since when, their role, and the node of whom they report to."""

OF_PERSON: Final = f"""SELECT account, {_SHOWN} FROM (
    SELECT account, {_AS_MEMBER} FROM affiliations WHERE node IN {{nodes:Array(UInt128)}}
    GROUP BY account HAVING is_member = 1) ORDER BY account"""
"""The accounts of the person with these nodes."""

SAID_OF_PERSON: Final = f"""SELECT DISTINCT account, joined, role, source, channel, {MOMENT_OF.format(ver="ver")} AS ms
FROM affiliations WHERE node IN {{nodes:Array(UInt128)}} ORDER BY ver LIMIT 100000"""

LIST: Final = """SELECT DISTINCT account FROM account_events
WHERE account > {after:String} AND startsWith(account, {beginning:String}) ORDER BY account LIMIT {limit:UInt32}"""

HEADCOUNT: Final = f"SELECT account, count() AS members FROM ({_FOLDED}) GROUP BY account"

TRAITS: Final = f"""SELECT account, name, argMax((value,), ver).1 AS text, argMax(source, ver) AS said_by,
    argMax(channel, ver) AS by_channel, {MOMENT_OF.format(ver="max(ver)")} AS ms
FROM account_traits WHERE account IN {{accounts:Array(String)}} GROUP BY account, name HAVING isNotNull(text)
ORDER BY account, max(ver) DESC LIMIT 300 BY account"""
"""What is known of some accounts; of each the latest 300."""

PARENTS: Final = """SELECT DISTINCT account, ver, parent FROM account_parents
WHERE account IN {accounts:Array(String)} OR parent IN {accounts:Array(String)} ORDER BY ver LIMIT {limit:UInt32}"""

EXISTS: Final = """SELECT
    count() > 0 OR (SELECT count() FROM account_parents WHERE parent = {account:String}) > 0 AS known
FROM (SELECT 1 FROM account_events WHERE account = {account:String} LIMIT 1)"""


def money(database: str) -> str:
    """SQL: `orders.movements`, each with its `account`: `unassigned`, where the event that the order belongs to names
    none, and its person belonged to none or to several."""
    homes = f"SELECT node, argMax(profile, ver) AS profile FROM {database}.identity GROUP BY node HAVING profile != 0"
    steps = _steps(homes, f"{database}.affiliations")
    people = f"SELECT node, steps FROM ({homes}) AS known INNER JOIN ({steps}) AS said USING profile"
    accounts = (
        f"SELECT key, multiIf(named != '', named, length({_ACTIVE}) = 1, arrayElement({_ACTIVE}, 1), '{UNASSIGNED}')"
        " AS account FROM (SELECT key, node, time, received_at, place, account AS named"
        f" FROM {database}.events WHERE doc != 0 LIMIT 1 BY key) AS happened LEFT JOIN ({people}) AS people USING node"
    )
    moved = orders.movements(tellings=f"{database}.order_tellings")
    return f"SELECT * FROM ({moved}) AS moved INNER JOIN ({accounts}) AS own USING key"
