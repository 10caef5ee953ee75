"""Ridding the tables of what they tell of somebody: at once for every reader, and then for the bytes on disk.

Events stay, reduced to what is in the clear (`privacy.sealing`): the same bytes that a replay without the key would
write. Decisions stay, too: a replay makes them again, of hashes and of the reasons that stewards gave. All of it may be
done again.
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from schemas import fact_tables
from warehouse.client import Writer

_STRIPPED: Final = """multiIf(
    JSONHas(payload, 'sealed'),
    concat(
        substring(payload, 1, JSONExtractUInt(payload, 'sealed', 1)), '"properties":',
        substring(
            payload,
            JSONExtractUInt(payload, 'sealed', 1) + length(JSONExtractRaw(payload, 'sealed')) + {before:UInt64} + 1,
            JSONExtractUInt(payload, 'sealed', 2)),
        ',"id":"', lower(leftPad(hex(key), 32, '0')), '"}'),
    concat('{"key":"', lower(leftPad(hex(key), 32, '0')), '","type":', toJSONString(type),
        ',"properties":{},"id":"', lower(leftPad(hex(key), 32, '0')), '"}'))"""
"""An event's payload in the clear. One that was never sealed keeps its type alone."""

_BEFORE_FACTS: Final = len('"sealed":,"facts":')

_TELLS: Final = "node IN {nodes:Array(UInt128)} AND (JSONHas(payload, 'sealed') OR JSONHas(payload, 'context'))"

_COLUMNS: Final = "node, time, type, part, off, received_at, place, key, source, fact, doc, amount, currency, account"

_KEEP_FACTS: Final = f"""INSERT INTO events ({_COLUMNS}, payload)
    SELECT {_COLUMNS}, {_STRIPPED} AS stripped FROM events WHERE {_TELLS}"""

_OF_FACTS: Final = {
    table.name: f"node IN {{nodes:Array(UInt128)}} AND ({' OR '.join(column.present for column in table.personal)})"
    for table in fact_tables.ALL
    if table.personal
}
"""Table of facts -> its rows that tell more than facts."""

_KEEP: Final = {"events": _KEEP_FACTS} | {
    table.name: (
        f"INSERT INTO {table.name} ({', '.join(table.kept)}) SELECT {', '.join(table.kept)} FROM {table.name}"
        f" WHERE {_OF_FACTS[table.name]} AND {table.stays}"
    )
    for table in fact_tables.ALL
    if table.personal
}
"""Table -> what stays of the rows that go."""

_GONE: Final = (
    ("events", _TELLS),
    *_OF_FACTS.items(),
    ("traits", "node IN {nodes:Array(UInt128)}"),
    ("consents", "node IN {nodes:Array(UInt128)}"),
    ("identifiers", "node IN {nodes:Array(UInt128)}"),
    ("affiliations", "node IN {nodes:Array(UInt128)}"),
    ("account_traits", "node IN {nodes:Array(UInt128)} AND NOT clear"),
    ("profile_rows", "profile IN {profiles:Array(UInt128)} AND live = 1"),
    ("views", "profile IN {profiles:Array(UInt128)} AND live = 1"),
    (
        "deliveries",
        "position(body, '\"identities\":[]') = 0 AND arrayExists(one -> position(body, one) > 0, {ids:Array(String)})",
    ),
)
"""Table -> the rows that go. A delivery without identities tells nobody's, and may have to be sent still."""

_HOLDING: Final = """SELECT DISTINCT source, id, digest FROM rejected
    WHERE FUNCTION(payload, {texts:Array(String)})
    SETTINGS log_queries = 0"""
"""A server's log of queries would keep the texts."""

_LITERALS: Final = "multiMatchAny"
"""Looks at a row in a fortieth of the time that the next one takes, once its patterns are compiled."""
_SOUGHT: Final = 250
"""Compiling 250 patterns takes 0.2 s, 1,000 1.5 s, and 2,000 8 s."""
_LONGEST: Final = 256
"""Characters of a pattern: the engine compiles them."""

_SEARCH: Final = "multiSearchAnyCaseInsensitiveUTF8"
_SEARCHED: Final = 250
"""255 at most."""

_CHARACTERS: Final = 50_000
"""Of all texts of a query: a server refuses an address of more than 1 MB, in which a character takes up to 12."""

TABLES: Final = (*(table for table, _ in _GONE), "rejected")

SOON: Final = (
    "old_parts_lifetime = 1, merge_tree_clear_old_parts_interval_seconds = 1, cleanup_delay_period = 1,"
    " max_cleanup_delay_period = 1, cleanup_delay_period_random_add = 0"
)
_AS_BEFORE: Final = ", ".join(setting.split(" = ")[0] for setting in SOON.split(", "))


def forget(writer: Writer, nodes: Collection[int], profiles: Collection[int]) -> None:
    """No query finds anything of these nodes any more but their facts. Blocks until that is so."""
    bound = {
        "nodes": sorted(nodes),
        "profiles": sorted(profiles),
        "ids": [f"prf_{profile:032x}" for profile in sorted(profiles)],
        "before": _BEFORE_FACTS,
    }
    for table, where in _GONE:
        named = {name: value for name, value in bound.items() if f"{{{name}:" in where}
        if not writer.may_hold(table, where, named):
            continue  # a deletion writes every part that it meets anew
        if keep := _KEEP.get(table):
            writer.command(keep, {name: value for name, value in bound.items() if f"{{{name}:" in keep})
        writer.delete(table, where, named)


def tells_of(writer: Writer, nodes: Collection[int]) -> bool:
    """Whether a table tells more of these nodes than facts."""
    return any(
        writer.rows(f"SELECT 1 FROM {table} WHERE {where} LIMIT 1 SETTINGS final = 0", {"nodes": sorted(nodes)})
        for table, where in _GONE
        if "{nodes:" in where
    )


def rejected_of(writer: Writer, texts: Collection[str]) -> list[tuple[str, str, int]]:
    """Source, id and digest of the rejected events that hold one of these texts, as it stands or as JSON writes it,
    whatever its case."""
    forms = sorted({form for text in texts for form in _forms(text)})
    short = [f"(?i){re.escape(form)}" for form in forms if _is_pattern(form)]
    others = [form for form in forms if not _is_pattern(form)]
    found: set[tuple[str, str, int]] = set()
    for function, wanted, at_once in ((_LITERALS, short, _SOUGHT), (_SEARCH, others, _SEARCHED)):
        query = _HOLDING.replace("FUNCTION", function)
        for some in _portions(wanted, at_once):
            found.update(writer.rows(query, {"texts": some}))
    return sorted(found)


def _portions(texts: Iterable[str], most: int) -> Iterator[list[str]]:
    """Within `_CHARACTERS`, but for a single text."""
    some: list[str] = []
    size = 0
    for text in texts:
        if some and (len(some) == most or size + len(text) > _CHARACTERS):
            yield some
            some, size = [], 0
        some.append(text)
        size += len(text)
    if some:
        yield some


def _forms(text: str) -> set[str]:
    """A text, and how it may be written in a body that is kept as it came: some escape all but ASCII, some slashes."""
    written = {text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    return written | {form.replace("/", "\\/") for form in written}


def _is_pattern(form: str) -> bool:
    return len(form) <= _LONGEST and form.isprintable()


def forget_rejected(writer: Writer, digests: Collection[int]) -> None:
    """No query finds these rejected events any more. They are named by digest: the engine keeps in a file what it was
    told to delete."""
    if digests:
        writer.delete("rejected", "digest IN {digests:Array(UInt64)}", {"digests": sorted(digests)})


Parts = set[tuple[str, str, str]]


def purge(writer: Writer) -> Parts:
    """Have the parts that hold deleted rows written anew, and the old ones, which it returns, removed soon: within five
    minutes, since the engine's cleaner sleeps so long where nothing happens to a table. Blocks for the first."""
    for table in TABLES:
        writer.alter(table, f"MODIFY SETTING {SOON}")
        writer.alter(table, "APPLY DELETED MASK")
        writer.clean_up(table)
    return writer.replaced_parts(TABLES)


def is_purged(writer: Writer, replaced: Parts) -> bool:
    """Whether none of these parts is left; from then on tables clean up at their own pace again."""
    if replaced & writer.replaced_parts(TABLES):
        return False
    for table in TABLES:
        writer.alter(table, f"RESET SETTING {_AS_BEFORE}")
    return True
