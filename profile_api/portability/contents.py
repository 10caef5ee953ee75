"""What is known of a person, topic by topic: each as rows, read a page at a time whenever they are asked for."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import orjson

from identity.nodes import profile_id
from profile_api import consent, people, permits, places, profiles, segments, views
from profile_api.declaring import SEGMENTS
from profile_api.deps import ApiDeps
from profile_api.portability.rejected import rejected
from schemas.clock import iso
from schemas.errors import SimorghError
from schemas.order import NEWEST_FIRST

Row = dict[str, Any]

_PAGE: Final = 1_000

_LEAST_EVENTS: Final = 250
_MOST_EVENTS: Final = 10_000
_PAGE_LENGTH: Final = 8 * 1024 * 1024
"""Characters of a page of events, if all are as large as the largest of the page before: each page has to look through
the keys of all that are left, so small events come many at a time."""

# The bound on time, which the tuple implies, is what the order of the table can use. A row that stands twice, written
# again after a crash, is passed over by whoever reads.
_EVENTS = f"""SELECT toUnixTimestamp64Milli(time) AS ms, toUnixTimestamp64Milli(received_at) AS received_ms, place, key,
    payload, key IN (SELECT key FROM retellings WHERE node IN {{nodes:Array(UInt128)}}) AS retold FROM events
WHERE (node, time, part, off) IN (
    SELECT node, time, part, off FROM events
    WHERE node IN {{nodes:Array(UInt128)}} AND received_at <= fromUnixTimestamp64Milli({{until:Int64}})
      AND time <= fromUnixTimestamp64Milli({{ms:Int64}})
      AND (time, received_at, place, key) < (fromUnixTimestamp64Milli({{ms:Int64}}),
        fromUnixTimestamp64Milli({{received_ms:Int64}}), {{place:UInt64}}, {{key:UInt128}})
    ORDER BY {NEWEST_FIRST} LIMIT {{limit:UInt32}})
ORDER BY {NEWEST_FIRST}"""

_SOURCES = """SELECT source, count() AS events, toUnixTimestamp64Milli(min(time)) AS first_ms,
    toUnixTimestamp64Milli(max(time)) AS last_ms FROM events WHERE node IN {nodes:Array(UInt128)}
GROUP BY source ORDER BY source"""

# A profile is named after a node of it: what was told of those that this one absorbed is found by their nodes.
_TRANSITIONS = """SELECT profile, segment, kind, toUnixTimestamp64Milli(at) AS ms, cause FROM transitions FINAL
WHERE profile IN {nodes:Array(UInt128)} ORDER BY off LIMIT 100000"""

_DELIVERIES = """SELECT id, trigger FROM deliveries
WHERE JSONExtractString(body, 'data', 'profile_id') IN {names:Array(String)}
GROUP BY trigger, id ORDER BY max(ver) LIMIT 100000"""
_DELIVERED = """SELECT id, trigger, status, attempts, toUnixTimestamp64Milli(next_at) AS next_ms,
    toUnixTimestamp64Milli(created_at) AS created_ms, toUnixTimestamp64Milli(updated_at) AS updated_ms,
    response_code, error, body FROM deliveries FINAL
WHERE (trigger, id) IN (SELECT arrayJoin(arrayZip({triggers:Array(String)}, {ids:Array(String)})))
ORDER BY created_at, id"""


@dataclass(frozen=True, slots=True)
class Topic:
    """`name`: of its files, and of its texts in `texts`. `rows` may be called again: it reads again."""

    name: str
    columns: tuple[str, ...]
    rows: Callable[[], Iterable[Row]]


class Contents:
    """All topics of one profile. Blocks; what it holds itself is bounded, whatever the profile's events are."""

    def __init__(self, deps: ApiDeps, row: people.Row) -> None:
        """`row`: of the profile, as `people.profile_row` has it."""
        self._deps = deps
        self._row = people.with_origins(deps, row)
        self._nodes = people.nodes_of(deps.reader, row["profile"])
        self.now = deps.clock()

    @property
    def profile(self) -> str:
        return profile_id(self._row["profile"])

    def topics(self) -> list[Topic]:
        return [
            Topic("identities", ("type", "value", "first_seen", "last_seen"), self._identities),
            Topic("traits", ("name", "value", "source", "channel", "time"), self._traits),
            Topic("purposes", ("purpose", *_STANDING), self._purposes),
            Topic("consent", _STATEMENT, self._consent),
            Topic(
                "segments", ("segment", "name", "entered_at", "exited_at", "cause", "exit_cause", "why"), self._segments
            ),
            Topic("accounts", _PLACE, lambda: places.said_of(self._deps, self._nodes)),
            Topic("metrics", ("name", "value"), self._metrics),
            Topic("decisions", _DECISION, lambda: profiles.decisions(self._deps, self._row["profile"])),
            Topic("deliveries", _DELIVERY, self._deliveries),
            Topic("rejected", _REJECTED, self._rejected),
            Topic("sources", ("source", "name", "channel", "events", "first_event", "last_event"), self._sources),
            Topic("events", _EVENT, self.events),
        ]

    def _identities(self) -> Iterable[Row]:
        return views.identities(self._row["identifiers"])

    def _traits(self) -> Iterator[Row]:
        """With what was sent under the names of computed ones."""
        origins = self._row["provenance"]
        for name, value in self._row["traits"].items():
            origin = origins.get(name, {})
            yield {"name": name, "value": value} | ({"source": "computed"} if "computed" in origin else origin)
        for name, origin in origins.items():
            if "shadowed" in origin:
                yield {"name": name} | origin["shadowed"]

    def _purposes(self) -> Iterator[Row]:
        for name, standing in permits.purposes(self._deps, self._row).items():
            yield {"purpose": name} | standing

    def _consent(self) -> Iterator[Row]:
        cursor = None
        while True:
            page = consent.history(self._deps, self._row["profile"], "", _PAGE, cursor)
            yield from page["items"]
            if (cursor := page["next_cursor"]) is None:
                return

    def _segments(self) -> Iterator[Row]:
        """Each stay in a segment, of this profile and of those that it absorbed; of a stay that goes on, why."""
        here = dict(self._row["memberships"])
        for stay in self._stays():
            name = stay["segment"]
            if "exited_at" not in stay and name in here:
                stay |= {"entered_at": iso(here.pop(name)), "why": self._why(name)}
            yield self._declared(stay)
        for name, at in here.items():  # told, and not in the table yet
            yield self._declared({"segment": name, "entered_at": iso(at), "why": self._why(name)})

    def _stays(self) -> list[Row]:
        stays: list[Row] = []
        lasting: dict[tuple[int, str], Row] = {}
        for one in self._deps.reader.rows(_TRANSITIONS, {"nodes": self._nodes}):
            place = (one["profile"], one["segment"])
            if one["kind"] == "entered":
                lasting[place] = {"segment": one["segment"], "entered_at": iso(one["ms"]), "cause": one["cause"]}
                stays.append(lasting[place])
            elif place in lasting:
                lasting.pop(place).update(exited_at=iso(one["ms"]), exit_cause=one["cause"])
        return stays

    def _declared(self, stay: Row) -> Row:
        declared = self._deps.registry.segments.get(stay["segment"])
        return stay | {"name": declared.name if declared else "", "rule": declared.rule if declared else None}

    def _why(self, name: str) -> Row | None:
        with suppress(SimorghError):  # deleted, or set aside
            found: Row = segments.explained(self._deps, SEGMENTS.found(self._deps, name), self._row)["why"]
            return found
        return None

    def _metrics(self) -> Iterator[Row]:
        view = views.profile_view(self._row, self._deps.workspace, {}, ("metrics",))
        for name, value in view["metrics"].items():
            yield {"name": name, "value": value}

    def _deliveries(self) -> Iterator[Row]:
        names = [profile_id(node) for node in self._nodes]
        keys = self._deps.reader.fill(_DELIVERIES, {"names": names})
        for start in range(0, len(keys), _PAGE):
            some = keys[start : start + _PAGE]
            bound = {"ids": [id for id, _ in some], "triggers": [trigger for _, trigger in some]}
            yield from (views.delivery_view(row) for row in self._deps.reader.rows(_DELIVERED, bound))

    def _rejected(self) -> Iterator[Row]:
        return rejected(self._deps, {(kind, value) for kind, value, *_ in self._row["identifiers"]}, set(self._nodes))

    def _sources(self) -> Iterator[Row]:
        for row in self._deps.reader.rows(_SOURCES, {"nodes": self._nodes}):
            declared = self._deps.registry.sources.get(row["source"])
            yield {
                "source": row["source"],
                "name": declared.name if declared else "",
                "channel": declared.channel if declared else "",
                "events": row["events"],
                "first_event": iso(row["first_ms"]),
                "last_event": iso(row["last_ms"]),
            }

    def events(self) -> Iterator[Row]:
        """As they were received, the newest first; none that came after this was made."""
        after: Row = {
            "ms": 10_413_791_999_000,
            "received_ms": 10_413_791_999_000,
            "place": 1 << 62,
            "key": (1 << 128) - 1,
        }
        limit = _LEAST_EVENTS
        while True:
            rows = self._deps.reader.rows(_EVENTS, {"nodes": self._nodes, "until": self.now, "limit": limit, **after})
            unnamed = [node for row in rows for node in views.nodes_of(row["payload"])]
            names = profiles.names_of(self._deps.reader, unnamed)
            for row in rows:
                if row["key"] != after["key"]:
                    yield _event(row, names)
                after = row
            if len(rows) < limit:
                return
            after = {name: after[name] for name in ("ms", "received_ms", "place", "key")}
            largest = max(len(row["payload"]) for row in rows)
            limit = min(max(_PAGE_LENGTH // largest, _LEAST_EVENTS), _MOST_EVENTS)


def _event(row: Row, names: Mapping[str, str]) -> Row:
    """The envelope with the names of its nodes, and with `counts` where another event, which reports the same fact, is
    the one that counts."""
    event: Row = orjson.loads(row["payload"])
    event["source"] = views.source_id(event)
    for one in event.get("identifiers", []):
        one.setdefault("normalised", names.get(one["node"]))
    for internal in ("sealed", "facts"):
        event.pop(internal, None)
    return event | {"counts": False} if row["retold"] else event


_STANDING = ("allowed", "by", "choice", "since", "source", "channel", "lawful_basis")
_STATEMENT = ("purpose", "choice", "at", "received_at", "source", "channel", "reason", "stated_by")
_PLACE = ("account", "at", "joined", "role", "source", "channel")
_STAY = ("segment", "name", "entered_at", "exited_at", "cause", "exit_cause", "why")
_DECISION = ("outcome", "at", "reason", "survivor", "absorbed", "from", "to", "between", "identifier", "by", "event")
_DELIVERY = ("id", "trigger", "status", "attempts", "created_at", "updated_at", "response_code", "error", "body")
_REJECTED = ("id", "source", "channel", "received_at", "code", "reason", "payload", "payload_base64")
_EVENT = (
    "time", "type", "name", "source", "channel", "id", "identifiers", "traits", "properties", "context", "consent",
    "money", "flags", "original", "original_time", "received_at", "sent_at", "counts",
)  # fmt: skip


def files_of(topic: Topic) -> Collection[str]:
    return f"{topic.name}.json", f"{topic.name}.csv"
