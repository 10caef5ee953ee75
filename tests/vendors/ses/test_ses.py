"""Whose topic it is, whose host the certificate is on, and that every part of SNS's message is signed."""

import json
from dataclasses import replace
from typing import Any

import pytest

from producers.vendors.request import VendorRequest
from producers.vendors.ses import certificate_url, greet, items, verify
from schemas.errors import Unmappable, Unverified
from tests.vendors.fixtures import Fixture, fixtures
from tests.vendors.ses.signer import SECRET, seal

FIXTURES = {one.path.stem: one for one in fixtures("ses")}


def with_message(fixture: Fixture, sealed: bool = True, **changed: Any) -> VendorRequest:
    request = fixture.request()
    message = {name: value for name, value in (json.loads(request.body) | changed).items() if value is not None}
    other = replace(request, body=json.dumps(message).encode(), memo={})
    return seal(other, SECRET) if sealed else other


@pytest.mark.parametrize("name", ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type", "Signature"])
@pytest.mark.parametrize("wrong", [None, "", "x", 7, ["a"], "é\u202e"])
def test_a_garbled_part_is_refused(name: str, wrong: object) -> None:
    with pytest.raises(Unverified):
        verify(with_message(FIXTURES["bounce"], sealed=False, **{name: wrong}), {})


@pytest.mark.parametrize("version", ["", "0", "3", "12"])
def test_only_versions_1_and_2_are_verified(version: str) -> None:
    with pytest.raises(Unverified):
        verify(with_message(FIXTURES["bounce"], SignatureVersion=version), {})


def test_nothing_is_verified_without_a_certificate() -> None:
    with pytest.raises(Unverified):
        verify(replace(FIXTURES["bounce"].request(), certificate=None), {})
    with pytest.raises(Unverified):
        verify(replace(FIXTURES["bounce"].request(), certificate=b"-----BEGIN CERTIFICATE-----"), {})


@pytest.mark.parametrize("topics", [None, [], ["arn:aws:sns:us-west-2:666666666666:MyTopic"], "arn:aws:sns"])
@pytest.mark.parametrize("name", ["bounce", "subscription-confirmation"])
def test_a_topic_that_is_not_the_source_s_is_refused_though_it_is_signed(name: str, topics: object) -> None:
    request = replace(FIXTURES[name].request(), settings={"topics": topics}, memo={})
    for step in (lambda: certificate_url(request), lambda: verify(request, {}), lambda: greet(request, {})):
        with pytest.raises(Unverified):
            step()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://sns.us-west-2.amazonaws.com/a.pem",
        "https://sns.us-west-2.amazonaws.com.example.com/a.pem",
        "https://sns.us-west-2.amazonaws.com@example.com/a.pem",
        "https://example.com/sns.us-west-2.amazonaws.com/a.pem",
        "https://sns.us-west-2.amazonaws.com:8443/a.pem",
        "https://sns.us-west-2.amazonaws.com/a.pem?x",
        "https://sns.us-west-2.amazonaws.com/a.pem\n",
        "https://sns.us-west-2.amazonaws.com/../a.pem",
        "https://mybucket.s3.amazonaws.com/a.pem",
    ],
)
def test_certificates_of_other_hosts_are_refused(url: str) -> None:
    with pytest.raises(Unverified):
        certificate_url(with_message(FIXTURES["bounce"], SigningCertURL=url))


def test_a_subscription_is_confirmed_at_the_address_of_sns() -> None:
    reply = greet(FIXTURES["subscription-confirmation"].request(), {})
    assert reply is not None
    assert reply.visit is not None
    assert reply.visit.startswith("https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&")
    left = greet(FIXTURES["unsubscribe-confirmation"].request(), {})
    assert left is not None
    assert left.visit is None


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:us-west-2:123456789012:MyTopic",
        "https://sns.us-west-2.amazonaws.com/?Action=Unsubscribe&TopicArn=arn:aws:sns:us-west-2:123456789012:MyTopic",
        "https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:us-west-2:6:MyTopic",
    ],
)
def test_other_addresses_are_not_visited(url: str) -> None:
    with pytest.raises(Unverified):
        greet(with_message(FIXTURES["subscription-confirmation"], SubscribeURL=url), {})


def test_another_text_than_one_of_ses_is_unmappable() -> None:
    with pytest.raises(Unmappable):
        items(with_message(FIXTURES["bounce"], Message="Hello world!"))
