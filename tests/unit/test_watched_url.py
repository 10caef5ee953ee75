"""Watched URLs: what is fetched again, and when."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from producers.watched.url import Fetched, WatchedUrl
from schemas.errors import Backpressure, Conflict
from tests.unit.watched_world import FILE, Clock, Sent, watcher

pytest_plugins = ("tests.unit.watched_fixtures",)


class Site:
    """A URL's answers, and what it was asked."""

    def __init__(self) -> None:
        self.content = FILE
        self.etag = '"1"'
        self.asked: list[dict[str, str]] = []
        self.fault: Exception | None = None

    def __call__(self, url: str, headers: Mapping[str, str], target: Path) -> Fetched:
        self.asked.append(dict(headers))
        if self.fault is not None:
            raise self.fault
        if self.etag and headers.get("if-none-match") == self.etag:
            return Fetched(304, {})
        target.write_bytes(self.content)
        return Fetched(200, {"etag": self.etag} if self.etag else {})


def at_url(tmp_path: Path, site: Site, clock: Callable[[], float]) -> WatchedUrl:
    return WatchedUrl("https://shop.example/exports/contacts.csv?day=1", tmp_path / "urls", site, 3600, clock)


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def url(tmp_path: Path, site: Site, clock: Clock) -> Iterator[WatchedUrl]:
    made = at_url(tmp_path, site, clock)
    yield made
    made.close()


def test_a_url_is_imported_when_it_changes(
    tmp_path: Path, site: Site, url: WatchedUrl, clock: Clock, sent: Sent
) -> None:
    watch = watcher(url, tmp_path, sent)
    assert watch.look() == 1
    assert watch.look() == 0
    clock.now += 3600
    assert watch.look() == 0
    assert site.asked == [{}, {"if-none-match": '"1"'}]
    site.content, site.etag = FILE + b"u3,Kiel\n", '"2"'
    assert watch.look() == 0
    clock.now += 3600
    assert watch.look() == 1
    assert len(sent.events) == 3
    with pytest.raises(Conflict, match=r"shop\.example: wanted to watch it alone"):
        at_url(tmp_path, site, clock)
    url.close()
    restarted = at_url(tmp_path, site, clock)
    assert watcher(restarted, tmp_path, sent).look() == 0
    assert site.asked[-1] == {"if-none-match": '"2"'}
    restarted.close()


def test_a_url_without_etag_is_known_by_its_content(
    tmp_path: Path, site: Site, url: WatchedUrl, clock: Clock, sent: Sent
) -> None:
    site.etag = ""
    watch = watcher(url, tmp_path, sent)
    for _ in range(3):
        assert watch.look() == 1
        clock.now += 3600
    assert sent.requests == 1


def test_a_url_or_a_server_that_is_away_is_asked_again_soon(
    tmp_path: Path, site: Site, url: WatchedUrl, sent: Sent
) -> None:
    watch = watcher(url, tmp_path, sent)
    site.fault = Backpressure("shop.example: wanted a file, got none")
    with pytest.raises(Backpressure):
        watch.look()
    site.fault, sent.away = None, True
    with pytest.raises(Backpressure):
        watch.look()
    sent.away = False
    assert watch.look() == 1
    assert len(sent.events) == 2
