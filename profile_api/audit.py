"""The audit: who looked at what and changed what, newest first; and whether it is as it was written."""

from collections.abc import Iterator, Set
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final

import orjson
from fastapi import Query

from eventlog.port import Record
from identity.nodes import from_hex, profile_id, to_hex
from privacy.chain import Checked, Flaw, Head, check, key_of, mark_of
from profile_api import people
from profile_api.auth import scope
from profile_api.cursors import read_cursor, write_cursor
from profile_api.deps import ApiDeps, Deps
from profile_api.models.audit import AuditChecked, AuditPage
from profile_api.models.examples import example
from profile_api.params import Cursor, Limit
from profile_api.recording import AuditorOf, settled
from profile_api.replies import JsonReply, page
from profile_api.requests import AuditVerifyIn
from profile_api.routes import guarded
from profile_api.turns import reads_much
from registry.scopes import AUDIT
from schemas import topics
from schemas.clock import iso
from schemas.errors import Broken, Damaged, InvalidInput
from schemas.records import AuditEntry, decode_audit

_STEP: Final = 1_000
_MOST_READ: Final = 50_000
"""Records that one request looks at: it takes about a second and a half."""
_MOST_CHAINS: Final = 4_000
"""The most that a check carries over from one request to the next."""


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Selects entries; members that are not given match any. `profiles`: the ids that one person had, as hex."""

    profiles: Set[str] | None = None
    token: str = ""
    action: str = ""

    def holds(self, entry: AuditEntry) -> bool:
        return (
            (not self.token or entry.token == self.token)
            and (not self.action or entry.action == self.action)
            and (self.profiles is None or any(one in self.profiles for one in entry.profiles))
        )


def listed(deps: ApiDeps, which: EntryFilter, limit: int, cursor: str | None) -> dict[str, Any]:
    end = read_cursor(deps.secret, "audit", cursor, (int,))[0] if cursor else deps.log.ends(topics.AUDIT)[0]
    lowest, items = max(0, end - _MOST_READ), []
    for record in _backwards(deps, end, lowest):
        entry = _entry(record)
        if entry is not None and which.holds(entry):
            items.append(view(entry, record.offset))
            if len(items) == limit:
                lowest = record.offset
                break
    return page(items, write_cursor(deps.secret, "audit", [lowest]) if lowest else None)


def _backwards(deps: ApiDeps, end: int, lowest: int) -> Iterator[Record]:
    while end > lowest:
        start = max(lowest, end - _STEP)
        yield from reversed(_readable(deps, start, end))
        end = start


def _readable(deps: ApiDeps, start: int, end: int) -> list[Record]:
    """Skips damaged records: `verify` reports those."""
    records: list[Record] = []
    while start < end:
        try:
            found = deps.log.read(topics.AUDIT, 0, start, end - start)
        except Damaged as lost:
            start = max(lost.last, start) + 1
            continue
        if not found:
            break
        records += found
        start = found[-1].offset + 1
    return records


def _entry(record: Record) -> AuditEntry | None:
    try:
        return decode_audit(record.value)
    except Broken:
        return None


def view(entry: AuditEntry, offset: int) -> dict[str, Any]:
    return {
        "at": iso(entry.at),
        "token": entry.token,
        "name": entry.name,
        "action": entry.action,
        "request": entry.request,
        "asked": entry.asked,
        "status": entry.status or None,
        "target": entry.target or None,
        "profiles": [profile_id(from_hex(one)) for one in entry.profiles],
        "others": entry.others,
        "sought": entry.sought,
        "offset": offset,
    }


def ids_of(deps: ApiDeps, key: str) -> set[str]:
    """All profile ids under which the audit may name the person with this key: a merge changes the id, entries stay."""
    node = people.node_of_key(deps, key)
    owner = deps.views.owners([node]).get(node)
    return {to_hex(one) for one in (node, *(people.nodes_of(deps.reader, owner) if owner else ()))}


def verified(deps: ApiDeps, cursor: str | None, known: str) -> dict[str, Any]:
    """Check on from a cursor, which carries what was found before it. `known`: the head of an earlier check."""
    key = key_of(deps.secret)
    done = _read_state(deps, cursor) if cursor else Checked()
    began, done = done.offset, check(deps.log, key, done, _MOST_READ)
    missing = _missing(deps, key, known) if known and not began else None
    faults, broken = done.faults, done.broken
    if missing is not None:
        faults, broken = (missing, *faults)[:20], broken + 1
        done = replace(done, faults=faults, broken=broken)
    more = done.offset < deps.log.ends(topics.AUDIT)[0]
    return {
        "entries": done.entries,
        "chains": done.chains,
        "broken": broken,
        "faults": [{"offset": one.offset, "reason": one.reason} for one in faults],
        "head": f"{done.offset}:{done.head}",
        "next_cursor": _write_state(deps, done) if more else None,
    }


def _write_state(deps: ApiDeps, done: Checked) -> str:
    latest = sorted(done.heads.items(), key=lambda one: one[1].offset)[-_MOST_CHAINS:]
    state = (done.offset, done.entries, latest, done.faults, done.broken, done.head, done.chains)
    return write_cursor(deps.secret, "audit check", [orjson.dumps(state).decode()])


def _read_state(deps: ApiDeps, cursor: str) -> Checked:
    [text] = read_cursor(deps.secret, "audit check", cursor, (str,))
    offset, entries, latest, faults, broken, head, chains = orjson.loads(text)
    heads = {name: Head(*one) for name, one in latest}
    return Checked(offset, entries, heads, tuple(Flaw(*one) for one in faults), broken, head, chains)


def _missing(deps: ApiDeps, key: bytes, known: str) -> Flaw | None:
    """What is wrong where the record of a noted head should stand. Raises `InvalidInput` for other text."""
    end, colon, head = known.partition(":")
    if not colon or not end.isdecimal():
        raise InvalidInput("known: wanted the head of an earlier check, got another text; see what it printed")
    if end == "0":
        return None
    offset = int(end[:18]) - 1
    try:
        found = deps.log.read(topics.AUDIT, 0, offset, 1)
    except Damaged:
        return None  # told where it stands
    if found and mark_of(key, found[0].value) == head:
        return None
    return Flaw(offset, "the head that was noted is not there: what was written up to it is missing or another")


routes = guarded("audit")


@routes.get("/v1/audit", response_model=AuditPage, responses=example(AuditPage))
@scope(AUDIT)
@reads_much
def list_audit(
    deps: Deps,
    auditor: AuditorOf,
    profile: Annotated[
        str,
        Query(max_length=2100, description="Only entries that name this profile, by its id or `type:value`."),
    ] = "",
    token: Annotated[str, Query(max_length=100, description="Only requests with this token, by its id.")] = "",
    action: Annotated[str, Query(max_length=100, description="Only this action.", examples=["profiles.view"])] = "",
    limit: Limit = 100,
    cursor: Cursor = None,
) -> JsonReply:
    """List who looked at what and changed what, newest first. One request searches at most 50,000 entries: continue
    with `next_cursor`, even after an empty page."""
    which = EntryFilter(ids_of(deps, profile) if profile else None, token, action)
    settled(auditor)
    return JsonReply(listed(deps, which, limit, cursor))


@routes.post("/v1/audit/verify", response_model=AuditChecked, responses=example(AuditChecked))
@scope(AUDIT)
@reads_much
def verify_audit(deps: Deps, auditor: AuditorOf, body: AuditVerifyIn) -> JsonReply:
    """Check that the audit is unchanged, 50,000 entries per request. Continue with `next_cursor`.

    It finds removed, changed, inserted and moved entries. It finds missing entries at the end only by comparison with
    the `head` of an earlier check: pass that as `known`.
    """
    settled(auditor)
    return JsonReply(verified(deps, body.cursor, body.known))
