"""No URL and no name server leads a webhook into a private network."""

import asyncio
import socket
from ipaddress import ip_address

import httpcore
import pytest

from registry.guard import (
    GuardedBackend,
    Lookup,
    check_url,
    is_own,
    refusal,
    resolve,
    system_lookup,
)
from schemas.errors import InvalidInput

REFUSED_URLS = [
    "http://example.com/",
    "http://example.com:443/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com:443/",
    "//example.com/",
    "example.com",
    "https://",
    "https:///path",
    "https://example.com:22/",
    "https://example.com:80/",
    "https://example.com:6379/",
    "https://example.com:0/",
    "https://example.com:99999/",
    "https://example.com:port/",
    "https://user@example.com/",
    "https://user:secret@example.com/",
    "https://example.com@127.0.0.1/",
    "https://@example.com/",
    "https://example.com#@127.0.0.1/",
    "https://example.com\\@127.0.0.1/",
    "https://127.0.0.1/",
    "https://127.0.0.1./",
    "https://127.1/",
    "https://127.0.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0x7f.1/",
    "https://017700000001/",
    "https://0177.0.0.1/",
    "https://0177.0.0.0x1/",
    "https://0/",
    "https://0.0.0.0/",
    "https://10.0.0.1/",
    "https://172.16.3.4/",
    "https://192.168.1.1/",
    "https://100.64.0.1/",
    "https://100.100.100.200/",
    "https://169.254.169.254/latest/meta-data/",
    "https://168.63.129.16/",
    "https://192.0.0.192/",
    "https://198.18.0.1/",
    "https://203.0.113.9/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://[::1]/",
    "https://[::]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[64:ff9b:1::a00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[2001:0:7f00:1::]/",
    "https://[2001:db8::1]/",
    "https://[fc00::1]/",
    "https://[fd00:ec2::254]/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fec0::1]/",
    "https://[ff02::1]/",
    "https://[100::1]/",
    "https://[::1/",
    "https://localhost/",
    "https://LOCALHOST/",
    "https://localhost./",
    "https://printer.local/",
    "https://metadata.google.internal/",
    "https://kubernetes/",
    "https://a..example.com/",
    "https://-example.com/",
    "https://exa mple.com/",
    "https://１２７.0.0.1/",
    "https://127。0。0。1/",
    "https://ⓛocalhost/",
    "https://example.com%00.evil.com/",
    "https://%31%32%37.0.0.1/",
    "https://[127.0.0.1]/",
]


@pytest.mark.parametrize("url", REFUSED_URLS)
def test_a_url_that_is_not_public_https_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        check_url(url, allow_private=False)
    assert raised.value.code == "invalid_webhook_url"
    assert "evil" not in raised.value.message


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("https://example.com", ("example.com", 443, "/", "example.com")),
        ("https://Example.COM:8443/a?b=c", ("example.com", 8443, "/a?b=c", "example.com:8443")),
        ("https://93.184.215.14/x", ("93.184.215.14", 443, "/x", "93.184.215.14")),
        ("https://[2606:4700::1111]/", ("2606:4700::1111", 443, "/", "[2606:4700::1111]")),
        ("https://xn--bcher-kva.example/?q", ("xn--bcher-kva.example", 443, "/?q", "xn--bcher-kva.example")),
    ],
)
def test_a_public_url_is_taken_apart(url: str, parts: tuple[str, int, str, str]) -> None:
    target = check_url(url, allow_private=False)
    assert (target.host, target.port, target.path, target.authority) == parts


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/", "http://localhost:8080/a", "https://10.0.0.1:1/", "http://[::1]:80"]
)
def test_private_receivers_are_lifted_together(url: str) -> None:
    assert check_url(url, allow_private=True)


@pytest.mark.parametrize("url", ["http://u@127.0.0.1/", "ftp://127.0.0.1/", "http://127.0.0.1/#x", "http://a b/"])
def test_the_rest_holds_for_private_receivers_too(url: str) -> None:
    with pytest.raises(InvalidInput):
        check_url(url, allow_private=True)


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.215.14", "2606:4700::1111", "2a00:1450:4001::1"])
def test_global_unicast_is_allowed(address: str) -> None:
    assert refusal(ip_address(address)) == ""


def test_every_address_of_a_host_is_checked() -> None:
    async def mixed(host: str, port: int) -> list[str]:
        return ["93.184.215.14", "10.0.0.1"]

    with pytest.raises(InvalidInput) as raised:
        asyncio.run(resolve("example.com", 443, allow_private=False, lookup=mixed))
    assert raised.value.code == "webhook_address_refused"


def test_own_addresses_are_recognised() -> None:
    assert is_own(ip_address("127.0.0.1"))
    assert not is_own(ip_address("93.184.215.14"))


PRIVATE_ANSWERS = (
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "169.254.169.254", "100.64.1.1", "192.168.0.1", "::1",
    "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::1", "2001:0:1::1", "fe80::1%eth0", "fd00::1",
)  # fmt: skip


def _answering(answers: list[str]) -> Lookup:
    async def lookup(host: str, port: int) -> list[str]:
        return answers

    return lookup


def test_no_resolver_opens_a_connection_to_a_private_address() -> None:
    """The port of a listener is asked for by every private answer, alone and after a public answer."""

    async def attack(port: int) -> None:
        for answer in PRIVATE_ANSWERS:
            for answers in ([answer], ["93.184.215.14", answer], [answer, "93.184.215.14"]):
                backend = GuardedBackend(allow_private=False, lookup=_answering(answers))
                with pytest.raises(InvalidInput):
                    await backend.connect_tcp("hooks.example.com", port, timeout=1)
        for host in ("2130706433", "0x7f.1", "0177.0.0.1", "localhost", "127.0.0.1", "::1"):
            with pytest.raises((InvalidInput, httpcore.ConnectError)):
                await GuardedBackend(allow_private=False, lookup=system_lookup).connect_tcp(host, port, timeout=1)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        asyncio.run(attack(listener.getsockname()[1]))
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    """A name server is asked once per connection; what it says later changes nothing."""
    asked: list[str] = []

    async def lookup(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    async def connect(port: int) -> None:
        backend = GuardedBackend(allow_private=True, lookup=lookup)
        stream = await backend.connect_tcp("never-resolved.invalid", port, timeout=1)
        await stream.aclose()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        asyncio.run(connect(listener.getsockname()[1]))
    assert asked == ["never-resolved.invalid"]
