"""All vendors, by their fixtures: what each request becomes, once and three times, and that nothing unproven passes."""

import base64
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.vendors.catalogue import CONNECTORS
from producers.vendors.connector import Connector
from producers.vendors.request import SIGNING, Headers, VendorRequest
from producers.vendors.signing import BasicAuth, OneOf, SharedToken
from schemas.errors import Unmappable, Unverified
from tests.effort import examples
from tests.vendors.fixtures import RECEIVED_AT, Fixture, fixtures, told, vectors
from tests.vendors.golden import privacy_of
from tests.vendors.signers import proving, secrets_of, signs_bodies

ALL = list(fixtures())
VECTORS = list(vectors())
EACH_FIXTURE = pytest.mark.parametrize("fixture", ALL, ids=lambda one: f"{one.path.parent.name}/{one.path.stem}")
EACH_CONNECTOR = pytest.mark.parametrize("connector", CONNECTORS.values(), ids=lambda one: one.name)


def is_handshake(fixture: Fixture, request: VendorRequest) -> bool:
    greet = fixture.connector.greet
    return greet is not None and greet(request, secrets_of(fixture.connector)) is not None


@EACH_FIXTURE
def test_a_request_becomes_these_events(fixture: Fixture) -> None:
    assert fixture.content["origin"], "say where the sample is from"
    request, connector = fixture.request(), fixture.connector
    if is_handshake(fixture, request):
        assert connector.greet is not None
        reply = connector.greet(request, secrets_of(connector))
        assert reply is not None
        assert {"status": reply.status, "body": reply.body.decode()} == fixture.content["reply"]
        return
    connector.verify(request, secrets_of(connector))
    events, refused, _ = told(fixture, request)
    assert events == fixture.content["events"]
    assert [one.code for one in refused] == fixture.content.get("rejected", [])
    assert privacy_of(fixture, request) == fixture.content.get("privacy", [])


@EACH_FIXTURE
def test_three_deliveries_are_one(fixture: Fixture) -> None:
    if is_handshake(fixture, fixture.request()):
        return
    later = [replace(fixture.request(), received_at=RECEIVED_AT + hours * 3_600_000, memo={}) for hours in (0, 1, 20)]
    first, *copies = [told(fixture, request)[2] for request in later]
    assert copies == [first, first]
    assert len(set(first)) == len(first)


@EACH_FIXTURE
def test_a_wrong_secret_is_refused(fixture: Fixture) -> None:
    connector = fixture.connector
    if fixture.content["request"].get("unsigned"):
        return
    with pytest.raises(Unverified):
        connector.verify(fixture.request(other=True), secrets_of(connector))
    if connector.secrets:
        with pytest.raises(Unverified):
            connector.verify(fixture.request(), {})
    both = {use: [*secrets_of(connector, other=True)[use], *known] for use, known in secrets_of(connector).items()}
    connector.verify(fixture.request(), both)


def proofs_of(connector: Connector) -> Iterator[object]:
    pending: list[object] = [connector.verify]
    while pending:
        proof = pending.pop()
        if isinstance(proof, OneOf):
            pending += proof.proofs
        else:
            yield proof


@EACH_CONNECTOR
def test_what_is_not_as_it_was_signed_is_refused(connector: Connector) -> None:
    """One byte of the body or of a header that proves it is another one, or the header is not there, or twice."""
    fixture = next((one for one in fixtures(connector.name) if not one.content["request"].get("unsigned")), None)
    assert fixture is not None, "add a fixture for this connector"
    request, secrets = fixture.request(), secrets_of(connector)
    if signs_bodies(connector):
        for place in range(0, len(request.body), 1 + len(request.body) // 60):
            flipped = bytearray(request.body)
            flipped[place] ^= 1
            refused(connector, replace(request, body=bytes(flipped), memo={}), secrets)
    for name, value in proving(connector, fixture.request(unsigned=True)).items():
        others = [pair for pair in request.headers.items() if pair[0].lower() != name.lower()]
        garbled = ["", "x", "é\x00", "=" * 5000, value + ",", value[:-1], value * 2, ",,,,", "t=,v1=", "\u202e" + value]
        for place in range(0, len(value), 1 + len(value) // 30):
            garbled.append(value[:place] + chr(ord(value[place]) ^ 1) + value[place + 1 :])
        for wrong in garbled:
            refused(connector, replace(request, headers=Headers([*others, (name, wrong)])), secrets)
        refused(connector, replace(request, headers=Headers(others)), secrets)
        refused(connector, replace(request, headers=Headers([*others, (name, value), (name, value)])), secrets)


def refused(connector: Connector, request: VendorRequest, secrets: Any) -> None:
    with pytest.raises(Unverified):
        connector.verify(request, secrets)


@pytest.mark.parametrize(("vendor", "vector"), VECTORS, ids=lambda value: value if isinstance(value, str) else "")
def test_public_vectors(vendor: str, vector: dict[str, Any]) -> None:
    """Signatures that others made: each fits, or does not, as it says."""
    body = base64.b64decode(vector["base64"]) if "base64" in vector else vector["body"].encode()
    request = VendorRequest(
        vector.get("method", "POST"),
        Headers(vector["headers"].items()),
        body,
        int(vector.get("at", 0)),
        vector.get("query", {}),
        vector.get("url", ""),
        settings=vector.get("webhook", {}),
    )
    secrets = {SIGNING: [vector["secret"]]}
    if vector.get("fits", True):
        CONNECTORS[vendor].verify(request, secrets)
    else:
        refused(CONNECTORS[vendor], request, secrets)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def shuffled(value: object, data: st.DataObject) -> object:
    """The value with some of its parts replaced by anything."""
    if data.draw(st.integers(0, 9)) == 0:
        return data.draw(JSON)
    if isinstance(value, dict):
        return {name: shuffled(part, data) for name, part in value.items()}
    return [shuffled(part, data) for part in value] if isinstance(value, list) else value


@EACH_CONNECTOR
@settings(max_examples=examples(25), deadline=None)
@given(data=st.data())
def test_nothing_but_the_two_errors_comes_out(connector: Connector, data: st.DataObject) -> None:
    known = list(fixtures(connector.name))
    fixture = data.draw(st.sampled_from(known))
    asked = dict(fixture.content["request"])
    for form in ("json", "form"):
        if form in asked:
            asked[form] = shuffled(asked[form], data)
    try:
        request = Fixture(fixture.path, {**fixture.content, "request": asked}).request()
    except (TypeError, ValueError, UnicodeEncodeError):
        return
    headers = data.draw(st.dictionaries(st.sampled_from([n for n, _ in request.headers.items()] or ["x"]), st.text()))
    hostile = replace(
        request,
        headers=Headers({**dict(request.headers.items()), **headers}.items()),
        body=data.draw(st.sampled_from([request.body, b"", data.draw(st.binary(max_size=60))])),
        memo={},
    )
    secrets = data.draw(st.sampled_from([secrets_of(connector), {}, {SIGNING: [data.draw(st.text(min_size=1))]}]))
    for step in (
        lambda: connector.greet and connector.greet(hostile, secrets),
        lambda: connector.certificate_url and connector.certificate_url(hostile),
        lambda: connector.verify(hostile, secrets),
        lambda: told(fixture, hostile),
        lambda: told(fixture, replace(request, memo={})),
        lambda: privacy_of(fixture, hostile),
        lambda: connector.reply and connector.reply(hostile),
    ):
        with suppress(Unverified, Unmappable):
            step()


def test_every_connector_is_told_of() -> None:
    for connector in CONNECTORS.values():
        assert connector.title
        assert list(fixtures(connector.name)), f"{connector.name}: wanted fixtures, got none"
        sends_its_secret = any(isinstance(proof, (SharedToken, BasicAuth)) for proof in proofs_of(connector))
        assert sends_its_secret <= connector.guessable, f"{connector.name}: set guessable"
