"""Writes what the fixtures of a vendor become into them: `python -m tests.vendors.golden VENDOR`. Read the result."""

import json
import sys

from producers.vendors.request import VendorRequest
from tests.vendors.fixtures import Fixture, fixtures, told
from tests.vendors.signers import secrets_of


def filled(fixture: Fixture) -> dict[str, object]:
    """The fixture's content with what comes out now."""
    request = fixture.request()
    content = dict(fixture.content)
    connector, secrets = fixture.connector, secrets_of(fixture.connector)
    reply = connector.greet(request, secrets) if connector.greet else None
    if reply is not None:
        return content | {"reply": {"status": reply.status, "body": reply.body.decode()}}
    connector.verify(request, secrets)
    events, refused, _ = told(fixture, request)
    content["events"] = events
    if refused:
        content["rejected"] = [one.code for one in refused]
    if asked := privacy_of(fixture, request):
        content["privacy"] = asked
    return content


def privacy_of(fixture: Fixture, request: VendorRequest) -> list[dict[str, object]]:
    found = fixture.connector.privacy(request) if fixture.connector.privacy else ()
    return [{"kind": one.kind, "id": one.id, "identifiers": [list(pair) for pair in one.identifiers]} for one in found]


if __name__ == "__main__":
    for one in fixtures(sys.argv[1]):
        one.path.write_text(json.dumps(filled(one), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"wrote {one.path.name}")
