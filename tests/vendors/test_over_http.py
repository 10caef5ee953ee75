"""Every vendor's webhook at the collector's door: what is forged is answered 401, counted and kept nowhere; what could
not be stored counts when it comes again twenty hours later, and what comes once more is a copy."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Event, Semaphore
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import orjson
import pytest

from privacy.secret_box import SecretBox
from producers.fetching import Fetching, get_past_the_guard
from producers.vendor_secrets import sealed as sealed_secret
from producers.vendors.catalogue import CONNECTORS
from producers.vendors.connector import Connector
from producers.vendors.request import Headers, VendorRequest
from schemas.errors import Backpressure
from tests.clients.world import World, world
from tests.loopback import LoopbackServer
from tests.vendors.fixtures import RECEIVED_AT, Fixture, fixtures
from tests.vendors.ses.signer import SECRET, certificate
from tests.vendors.signers import proving, sealed, secrets_of, signs_bodies

BOX: Final = SecretBox(b"sixteen bytes ok")
LATER: Final = 20 * 3_600_000
SIGNED_ANEW: Final = {"resend", "slack", "standard", "stripe", "zendesk"}
"""Vendors whose signature holds for minutes: each attempt has its own."""
EACH_CONNECTOR = pytest.mark.parametrize("connector", CONNECTORS.values(), ids=lambda one: one.name)
SNS: Final = "https://sns.us-west-2.amazonaws.com"


class AmazonSns(BaseHTTPRequestHandler):
    """Has the certificate, and notes what was confirmed."""

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        if asked.path.endswith(".pem"):
            answer = certificate(SECRET)
        else:
            confirmed.append({name: values[0] for name, values in parse_qs(asked.query).items()})
            answer = b"<ConfirmSubscriptionResponse/>"
        self.send_response(200)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


confirmed: list[dict[str, str]] = []


@pytest.fixture(scope="module")
def sns() -> Iterator[str]:
    server = LoopbackServer(AmazonSns)
    yield server.url
    server.close()


@contextmanager
def hearing(fixture: Fixture, folder: Path, sns: str, now: int = RECEIVED_AT) -> Iterator[World]:
    """A collector with the fixture's source and secrets. Amazon's hosts are on loopback."""
    connector, id = fixture.connector, "here"
    secrets = [
        sealed_secret(BOX, id, f"s{number}", use, secret, RECEIVED_AT).model_dump(mode="json")
        for number, (use, texts) in enumerate(secrets_of(connector).items())
        for secret in texts
        if connector.secrets
    ]
    declared = {
        "vendor": connector.name,
        "channel": connector.channel or "web",
        **fixture.content.get("source", {}),
        "secrets": secrets,
        "webhook": {"url": fixture.request(unsigned=True).url, **fixture.content.get("webhook", {})},
    }

    def get(url: str) -> tuple[int, bytes]:
        assert url.startswith(SNS)
        return get_past_the_guard(sns + url.removeprefix(SNS), allow_private=True)

    with world(folder, clock=lambda: now, box=BOX, get=get) as made:
        if id not in made.registry.sources:
            made.registry.declare("source", id, declared, "test")
        yield made


def sent(it: World, connector: Connector, request: VendorRequest) -> httpx.Response:
    path = f"/v1/webhooks/{connector.name}/here"
    query = f"?{urlencode(request.query)}" if request.query else ""
    headers = [(name, value.encode("latin-1", errors="replace")) for name, value in request.headers.items()]
    return it.send(path + query, request.body, method=request.method, headers=headers)  # type: ignore[arg-type]


def forged(connector: Connector, fixture: Fixture) -> Iterator[VendorRequest]:
    request, unsigned = fixture.request(), fixture.request(unsigned=True)
    yield fixture.request(other=True)
    if connector.secrets:
        yield replace(unsigned, query={})
    if signs_bodies(connector):
        for place in range(0, len(request.body), 1 + len(request.body) // 5):
            flipped = bytearray(request.body)
            flipped[place] ^= 1
            yield replace(request, body=bytes(flipped))
    for name, value in proving(connector, unsigned).items():
        others = [pair for pair in request.headers.items() if pair[0] != name]
        for wrong in ("x", "\xe9" * 50, "=" * 5000, value + ",", value[:-1]):
            yield replace(request, headers=Headers([*others, (name, wrong)]))
        yield replace(request, headers=Headers([*others, (name, value), (name, value)]))


@EACH_CONNECTOR
def test_nothing_forged_is_kept_and_nothing_signed_is_lost(connector: Connector, tmp_path: Path, sns: str) -> None:
    told = [one for one in fixtures(connector.name) if one.content.get("events") and not unsigned(one)]
    fixture = told[0]
    with hearing(fixture, tmp_path, sns) as it:
        answers = [sent(it, connector, request) for request in forged(connector, fixture)]
        # where the secret itself is sent, guessing is slowed down
        assert {one.status_code for one in answers} <= ({401, 429} if connector.guessable else {401})
        assert answers[0].status_code == 401
        assert refusals(it) == len(answers)
        assert it.logged() == 0
    with hearing(fixture, tmp_path, sns) as it:
        it.log.close()
        assert sent(it, connector, fixture.request()).status_code == connector.store_down
    with hearing(fixture, tmp_path, sns, RECEIVED_AT + LATER) as it:
        again = sent(it, connector, fixture.request())
        assert again.status_code == (401 if expires(connector) else 200)
        if expires(connector):
            anew = sealed(connector, replace(fixture.request(unsigned=True), received_at=RECEIVED_AT + LATER))
            assert sent(it, connector, anew).status_code == 200
        else:
            anew = fixture.request()
        first = {(one["id"], one["key"]) for one in it.events()}
        assert len(first) == len(fixture.content["events"])
        assert sent(it, connector, anew).status_code == 200
        assert {(one["id"], one["key"]) for one in it.events()} == first


@pytest.mark.parametrize(
    "connector",
    [one for one in CONNECTORS.values() if one.name != "ses" and one.body == "json"],
    ids=lambda one: one.name,
)
def test_what_is_signed_but_not_understood_is_kept_as_it_came(connector: Connector, tmp_path: Path, sns: str) -> None:
    fixture = next(one for one in fixtures(connector.name) if not unsigned(one))
    body = b'{"not to be": "understood'
    with hearing(fixture, tmp_path, sns) as it:
        answer = sent(it, connector, sealed(connector, replace(fixture.request(unsigned=True), body=body)))
        assert answer.status_code == 200
        [kept] = it.rejected()
        assert kept["payload"] == body.decode()
        assert kept["webhook"]["vendor"] == connector.name
        assert it.events() == []


def unsigned(fixture: Fixture) -> bool:
    return bool(fixture.content["request"].get("unsigned")) or bool(fixture.content.get("rejected"))


def expires(connector: Connector) -> bool:
    return connector.name in SIGNED_ANEW


def refusals(it: World) -> float:
    return sum(
        sample.value
        for metric in it.metrics.collect()
        for sample in metric.samples
        if sample.name == "simorgh_collector_requests_refused_total"
    )


def test_sns_is_confirmed_where_amazon_is_and_only_for_the_source_s_topic(tmp_path: Path, sns: str) -> None:
    """Over real HTTP, to a server that stands for Amazon's."""
    by_name = {one.path.stem: one for one in fixtures("ses")}
    asked = by_name["subscription-confirmation"]
    confirmed.clear()
    with hearing(asked, tmp_path, sns) as it:
        forged = replace(asked.request(), body=asked.request().body.replace(b"2012", b"2013"))
        assert sent(it, asked.connector, forged).status_code == 401
        body: dict[str, Any] = orjson.loads(asked.request().body)
        other = asked.request().body.replace(body["TopicArn"].encode(), b"arn:aws:sns:us-west-2:1:Another")
        assert sent(it, asked.connector, replace(asked.request(), body=other)).status_code == 401
        assert confirmed == []
        assert sent(it, asked.connector, asked.request()).status_code == 200
        assert confirmed == [
            {"Action": "ConfirmSubscription", "TopicArn": body["TopicArn"], "Token": body["Token"]},
        ]
        assert sent(it, asked.connector, by_name["bounce"].request()).status_code == 200
        assert [one["type"] for one in it.events()] == ["email.bounced"]


def test_only_a_few_certificates_are_fetched_at_once() -> None:
    """Whoever names one has proven nothing yet."""
    asked, gate = Semaphore(0), Event()

    def get(url: str) -> tuple[int, bytes]:
        asked.release()
        gate.wait(30)
        return 200, b"certificate"

    fetching = Fetching(lambda: RECEIVED_AT, get)
    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(fetching.certificate, f"{SNS}/{number}.pem") for number in range(4)]
        for _ in running:
            assert asked.acquire(timeout=30)
        with pytest.raises(Backpressure):
            fetching.certificate(f"{SNS}/5.pem")
        gate.set()
        assert {one.result() for one in running} == {b"certificate"}
    assert fetching.certificate(f"{SNS}/5.pem") == b"certificate"


def test_where_the_samples_are_from(capsys: pytest.CaptureFixture[str]) -> None:
    """Most are the vendors' own, so that no mapper is only compared with itself."""
    found = list(fixtures())
    own = [one for one in found if not re.match("derived", one.content["origin"])]
    with capsys.disabled():
        print(f"\n{len(found)} fixtures, {len(own)} of them ({len(own) / len(found):.0%}) as others published them")
    assert len(found) >= 150
    assert len(own) >= 0.6 * len(found)
