"""Bodies as clients compress and encode them: all of a body is read, or all of it refused."""

import gzip
import json
import zlib

import pytest

from tests.clients.world import World, basic

pytest_plugins = ("tests.unit.collector_fixtures",)

EVENTS = [{"type": "page", "userId": "u", "messageId": f"m{n}"} for n in range(4)]
BODY = json.dumps({"batch": EVENTS}).encode()


def bare(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


READ: dict[str, tuple[str, bytes]] = {
    "gzip": ("gzip", gzip.compress(BODY)),
    "gzip of two members": ("gzip", gzip.compress(BODY[:40]) + gzip.compress(BODY[40:])),
    "gzip of many members": ("gzip", b"".join(gzip.compress(BODY[n : n + 10]) for n in range(0, len(BODY), 10))),
    "an empty member last": ("gzip", gzip.compress(BODY) + gzip.compress(b"")),
    "a filled-up last block": ("gzip", gzip.compress(BODY) + bytes(100)),
    "gzip that nothing says": ("", gzip.compress(BODY)),
    "zlib": ("deflate", zlib.compress(BODY)),
    "bare deflate": ("deflate", bare(BODY)),
    "a mark of UTF-8": ("", b"\xef\xbb\xbf" + BODY),
    "a mark of UTF-8 within gzip": ("gzip", gzip.compress(b"\xef\xbb\xbf" + BODY)),
    "UTF-16": ("", BODY.decode().encode("utf-16")),
    "UTF-16, big end first": ("", b"\xfe\xff" + BODY.decode().encode("utf-16-be")),
}
REFUSED: dict[str, tuple[str, bytes]] = {
    "something behind gzip": ("gzip", gzip.compress(BODY) + b"more"),
    "half a second member": ("gzip", gzip.compress(BODY) + gzip.compress(BODY)[:-9]),
    "half a gzip": ("gzip", gzip.compress(BODY)[:-9]),
    "too many members": ("gzip", gzip.compress(b"") * 101 + gzip.compress(BODY)),
    "something behind zlib": ("deflate", zlib.compress(BODY) + b"more"),
    "something behind bare deflate": ("deflate", bare(BODY) + b"more"),
    "no gzip": ("gzip", BODY),
    "a text as deflate": ("deflate", b"\x78" + BODY),
}


@pytest.mark.parametrize("name", READ)
def test_all_of_it_is_read(it: World, name: str) -> None:
    encoding, body = READ[name]
    answer = it.send("/v1/batch", body, headers=basic() | ({"content-encoding": encoding} if encoding else {}))
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert sorted(event["id"] for event in it.events()) == ["m0", "m1", "m2", "m3"]


@pytest.mark.parametrize("name", REFUSED)
def test_or_all_of_it_is_refused_and_kept(it: World, name: str) -> None:
    encoding, body = REFUSED[name]
    answer = it.send("/v1/batch", body, headers={**basic(), "content-encoding": encoding})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_gzip")
    assert answer.json()["type"] == "urn:simorgh:problem:invalid_gzip"
    assert (len(it.events()), len(it.rejected())) == (0, 1)


@pytest.mark.parametrize("body", [gzip.compress(bytes(5_000_000)), gzip.compress(bytes(300_000)) * 2])
def test_what_unfolds_to_too_much_is_refused(it: World, body: bytes) -> None:
    assert it.send("/v1/batch", body, headers={**basic(), "content-encoding": "gzip"}).status_code == 413


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip"])
def test_other_encodings_are_answered_with_those_that_are_read(it: World, encoding: str) -> None:
    answer = it.send("/v1/batch", BODY, headers={**basic(), "content-encoding": encoding})
    assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "gzip, deflate")


def test_the_host_header_never_becomes_the_address_that_sdks_are_told(it: World) -> None:
    answer = it.send("/v1/projects/WRITE_KEY/settings", b"", method="GET", headers={"host": "evil.example"})
    assert answer.json()["integrations"]["Segment.io"]["apiHost"] == "collector.test/v1"
