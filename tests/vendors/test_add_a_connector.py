"""docs/add-a-connector.md does what it says, and its connector is as short as it promises."""

import json
import re
from pathlib import Path
from typing import Any

from producers.vendor_message import VendorMessage
from producers.vendors.catalogue import CONNECTORS
from producers.vendors.connector import Connector
from producers.vendors.request import SIGNING, Headers, VendorRequest
from producers.vendors.signing import signature
from profile_api.source_requests import SourceIn
from registry.models import Source
from schemas.catalog import Catalog
from tests.vendors.fixtures import RECEIVED_AT, door, shown_of

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "add-a-connector.md").read_text()
[CODE] = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
MESSAGE, FIXTURE, EVENTS, DECLARED = (
    json.loads(block) for block in re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
)


def becomes(connector: Connector, source: Source) -> list[dict[str, Any]]:
    body = json.dumps(FIXTURE["request"]["json"]).encode()
    proof = {"x-bell-signature": "sha256=" + signature(b"secret", body, "sha256", "hex")}
    settings = source.webhook.model_dump(exclude_none=True)
    request = VendorRequest("POST", Headers(proof.items()), body, RECEIVED_AT, settings=settings)
    connector.verify(request, {SIGNING: ["secret"]})
    message, found = VendorMessage(connector, source, request), []
    for place, item in enumerate(connector.items_of(request)):
        found += [shown_of(verdict) for verdict in message.verdicts(door(), Catalog.load(), item, place)]
    return found


def holds(told: Any, is_there: Any) -> bool:
    if isinstance(told, dict):
        return all(name in is_there and holds(value, is_there[name]) for name, value in told.items())
    if isinstance(told, list):
        return len(told) == len(is_there) and all(map(holds, told, is_there))
    return bool(told == is_there)


def test_the_connector_of_the_page() -> None:
    assert FIXTURE["request"]["json"] == MESSAGE
    assert len(CODE.splitlines()) + len(json.dumps(FIXTURE, indent=1).splitlines()) < 60
    names: dict[str, Any] = {}
    exec(CODE, names)
    events = becomes(names["BELL"], Source(id="bell", channel="phone"))
    assert holds(EVENTS, events), events


def test_the_same_without_code() -> None:
    declared = SourceIn.model_validate(DECLARED)
    events = becomes(CONNECTORS["generic"], Source.model_validate(declared.model_dump(exclude_none=True)))
    assert holds(EVENTS, events), events


def test_every_connector_has_a_row_in_the_table() -> None:
    page = (DOCS / "channels.md").read_text()
    assert [name for name in CONNECTORS if f"\n| `{name}` |" not in page] == []
