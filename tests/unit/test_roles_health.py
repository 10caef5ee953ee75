"""What the roles of a cluster answer to whoever asks whether they are well."""

import asyncio
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from eventlog.sqlite import SqliteEventLog
from eventlog.watched import WatchedLog
from privacy.keyring import Keyring
from privacy.sqlite import SqliteKeys
from privacy.store import StoredKey
from profile_api.readiness import Readiness, tables_answer
from schemas.errors import Backpressure
from simorgh.cluster import Base
from simorgh.collect import collector
from simorgh.settings import Settings
from simorgh.shared import DeclarationsFollower
from warehouse.client import Warehouse

KEY = "a-write-key"


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Base]:
    monkeypatch.setenv("SIMORGH_WRITE_KEY", KEY)
    log = WatchedLog(SqliteEventLog(tmp_path / "log.db"))
    nowhere: Any = None  # the collector asks Kafka through its log alone
    keyring = Keyring(SqliteKeys(tmp_path / "keys.sqlite"), b"s" * 32)
    yield Base(nowhere, log, b"s" * 32, keyring, DeclarationsFollower(log, Settings(), b"s" * 32, keyring))
    log.close()
    keyring.close()


async def _answers(app: Any, requests: Sequence[tuple[str, str]], content: bytes) -> list[httpx.Response]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://collect.test") as client:
        return [await client.request(method, path, auth=(KEY, ""), content=content) for method, path in requests]


def ask(app: Any, *requests: tuple[str, str], content: bytes = b"{}") -> list[httpx.Response]:
    return asyncio.run(_answers(app, requests, content))


def test_a_collector_is_ready_counts_its_requests_and_answers_problems(base: Base) -> None:
    app = collector(base, Settings(), CollectorRegistry())
    ready, taken, nowhere, wrong, metrics = ask(
        app, ("GET", "/readyz"), ("POST", "/v1/batch"), ("GET", "/nowhere"), ("GET", "/v1/batch"), ("GET", "/metrics")
    )
    assert (ready.status_code, taken.status_code, nowhere.status_code, wrong.status_code) == (200, 400, 404, 405)
    assert nowhere.json()["type"] == "urn:simorgh:problem:not_found"
    assert wrong.headers["allow"] == "OPTIONS, POST"
    for labels in ('method="POST",route="/v1/batch",status="400"', 'method="GET",route="(no route)",status="404"'):
        assert f"simorgh_http_request_seconds_count{{{labels}}} 1.0" in metrics.text


def test_a_collector_whose_log_is_gone_is_not_ready(base: Base) -> None:
    app = collector(base, Settings(), CollectorRegistry())
    base.log.close()
    alive, ready = ask(app, ("GET", "/healthz"), ("GET", "/readyz"))
    assert alive.status_code == 200
    assert (ready.status_code, ready.json()["code"]) == (503, "closed")
    assert ready.headers["content-type"] == "application/problem+json"


class Behind(SqliteKeys):
    """A key store that is being opened."""

    def of(self, nodes: Collection[int]) -> Mapping[int, Sequence[StoredKey]]:
        raise Backpressure("key store: wanted to have read simorgh.keys, got 3 of 7 records so far", code="keys_behind")

    def level(self, within: float = 0.0) -> bool:
        self.of(())
        return True


def test_a_collector_that_does_not_know_the_keys_yet_takes_no_events(base: Base, tmp_path: Path) -> None:
    keyring = Keyring(Behind(tmp_path / "behind.sqlite"), b"s" * 32)
    declarations = DeclarationsFollower(base.log, Settings(), b"s" * 32, keyring)
    app = collector(replace(base, keyring=keyring, declarations=declarations), Settings(), CollectorRegistry())
    event = {"batch": [{"type": "page", "userId": "u", "messageId": "m"}]}
    refused, ready = ask(app, ("POST", "/v1/batch"), ("GET", "/readyz"), content=json.dumps(event).encode())
    assert (refused.status_code, refused.json()["code"], "retry-after" in refused.headers) == (503, "keys_behind", True)
    assert (ready.status_code, ready.json()["code"]) == (503, "keys_behind")
    keyring.close()


def code_of(warehouse: Warehouse) -> str:
    check = tables_answer(warehouse.reader(lambda: 1), partial(warehouse.damage, 1))
    faults = asyncio.run(Readiness({"warehouse": check}).faults())
    return faults[0].code if faults else ""


def test_a_warehouse_that_is_away_or_has_lost_its_tables_is_told(chdb_dsn: str) -> None:
    away = Warehouse("http://127.0.0.1:1")
    assert code_of(away) == "warehouse_unavailable"
    away.close()
    here = Warehouse(chdb_dsn, "health")
    assert code_of(here) == "tables_missing"
    here.migrate(1)
    assert code_of(here) == ""
    here.drop(1)
    assert code_of(here) == "tables_missing"
    here.close()
