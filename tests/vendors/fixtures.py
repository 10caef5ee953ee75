"""Fixtures of vendors' requests: `tests/vendors/<vendor>/<name>.json`.

{"origin":   where the body is from: an address of the vendor's own sample, or "derived: …"
 "source":   settings of the source that differ from the defaults, such as {"currency": "IRR"}
 "webhook":  the source's settings for its webhook, such as {"url": …}
 "request":  {"headers": {…}, "query": {…}, "method": "POST", and one of "json": …, "form": {…}, "text": "…"}
 "events":   what it becomes, in order; `python -m tests.vendors.golden VENDOR` writes them: read them
 "rejected": codes of items that are refused
 "privacy":  requests of people in it
 "reply":    the handshake's answer, for a request that is one}

`vectors.json` in the same folder holds the vendor's public test vectors; `_`-files are passed over.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import orjson

from identity.rules import DEFAULT_RULES
from producers.door import Defaults, Door, Refused, Verdict
from producers.rehearsal import shown
from producers.vendor_message import VendorMessage
from producers.vendors.catalogue import CONNECTORS
from producers.vendors.connector import Connector
from producers.vendors.request import Headers, VendorRequest
from registry.models import Source
from schemas.catalog import Catalog
from tests.vendors.signers import sealed

FOLDER: Final = Path(__file__).parent
RECEIVED_AT: Final = int(datetime(2026, 11, 1, 12, tzinfo=UTC).timestamp() * 1000)
URL: Final = "https://events.example.com/v1/webhooks"


@dataclass(frozen=True)
class Fixture:
    path: Path
    content: dict[str, Any]

    @property
    def connector(self) -> Connector:
        return CONNECTORS[self.path.parent.name]

    @property
    def source(self) -> Source:
        return Source(id="here", channel=self.connector.channel or "web", **self.content.get("source", {}))

    def request(self, *, other: bool = False, unsigned: bool = False) -> VendorRequest:
        """Signed, unless `unsigned`. `other`: with a wrong secret."""
        asked = self.content["request"]
        headers, body = dict(asked.get("headers", {})), _body(asked)
        if "form" in asked:
            headers.setdefault("content-type", "application/x-www-form-urlencoded")
        elif "json" in asked:
            headers.setdefault("content-type", "application/json")
        webhook = self.content.get("webhook", {})
        request = VendorRequest(
            asked.get("method", "POST"),
            Headers(headers.items()),
            body,
            RECEIVED_AT,
            dict(asked.get("query", {})),
            str(webhook.get("url") or f"{URL}/{self.connector.name}/here"),
            self.source.zone,
            webhook,
        )
        if unsigned or asked.get("unsigned"):
            return request
        return sealed(self.connector, request, other)


def _body(asked: dict[str, Any]) -> bytes:
    if "json" in asked:
        return json.dumps(asked["json"], ensure_ascii=False).encode()
    if "form" in asked:
        return urlencode(asked["form"], doseq=True).encode()
    return str(asked.get("text", "")).encode()


def fixtures(vendor: str = "*") -> Iterator[Fixture]:
    for path in sorted(FOLDER.glob(f"{vendor}/*.json")):
        if path.name != "vectors.json" and not path.name.startswith("_"):
            yield Fixture(path, json.loads(path.read_text(encoding="utf-8")))


def vectors() -> Iterator[tuple[str, dict[str, Any]]]:
    """(vendor, vector)."""
    for path in sorted(FOLDER.glob("*/vectors.json")):
        for vector in json.loads(path.read_text(encoding="utf-8")):
            yield path.parent.name, vector


def door() -> Door:
    return Door(b"secret", "default", lambda: DEFAULT_RULES, Catalog.load(), lambda: "fresh", Defaults())


def told(fixture: Fixture, request: VendorRequest) -> tuple[list[dict[str, Any]], list[Refused], list[bytes]]:
    """What a verified request becomes: the envelopes' members that matter, the refused items, the keys of the
    events."""
    message = VendorMessage(fixture.connector, fixture.source, request)
    at_door, events, refused, keys = door(), [], [], []
    for place, item in enumerate(fixture.connector.items_of(request)):
        for verdict in message.verdicts(at_door, Catalog.load(), item, place):
            if isinstance(verdict, Refused):
                refused.append(verdict)
            else:
                keys.append(verdict[0])
                events.append(shown_of(verdict))
    return events, refused, keys


def shown_of(verdict: Verdict) -> dict[str, Any]:
    """What an accepted event says."""
    assert not isinstance(verdict, Refused), verdict
    return shown(orjson.loads(verdict[1]))
