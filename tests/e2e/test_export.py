"""What a person gets of what is known: a ZIP that opens, holds every value, and can be read by a person."""

import csv
import io
import json
import stat
import subprocess
import zipfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import Client, Server, running, wait_for
from tests.programs import run as call
from tests.webhook_receiver import receiving

TOPICS = {
    "identities", "traits", "purposes", "consent", "segments", "metrics", "decisions", "deliveries", "rejected",
    "sources", "events", "accounts",
}  # fmt: skip
EVIL = "<script>alert('canary-html')</script>"

CANARIES = {
    "canary-user", "canary@example.com", "canary-browser", "canary-trait", "canary-property", "canary-page",
    "canary-campaign", "canary-account", "canary-purpose", "canary-reason", "canary-segment", "canary-trigger",
    "canary-event-id",
    "canary-refused", "canary-merged", "canary-merge-reason", "canary-odd", "canary-html", "=canary-formula",
    "canary name",
}  # fmt: skip


class Read(HTMLParser):
    """A page as a browser takes it: its tags with their attributes, and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.texts)


def plant(client: Client, url: str) -> None:
    """Something of one person in every field that can hold a value."""
    client.post("/v1/purposes", {"id": "canary-purpose"})
    client.post("/v1/segments", {"id": "canary-segment", "rule": {"event": "order.completed", "count": {"gte": 1}}})
    client.post("/v1/triggers", {"id": "canary-trigger", "segment": "canary-segment", "webhook": {"url": url}})
    context = {"page": {"path": "/canary-page"}, "campaign": {"name": "canary-campaign"}}
    who = {"userId": "canary-user", "anonymousId": "canary-browser"}
    traits = {"email": "canary@example.com", "plan": "canary-trait", "evil": EVIL, "sum": "=canary-formula"}
    client.send(
        {"type": "identify", **who, "traits": traits, "messageId": "canary-event-id", "context": context},
        {
            "type": "track", **who, "event": "Order Completed", "messageId": "o1", "context": context,
            "properties": {"order_id": "canary-property", "revenue": "canary-odd"},
        },
        {"type": "track", **who, "event": "canary name", "messageId": "o2"},
        {"type": "group", "userId": "canary-merged", "groupId": "canary-account", "messageId": "o3"},
        {"type": "track", "userId": "canary-user", "messageId": "canary-refused"},
        {"type": "track", "userId": "canary-user-2", "messageId": "somebody-else"},
    )  # fmt: skip
    client.settled()
    client.post(
        "/v1/profiles/user_id:canary-user/consent", {"consent": {"canary-purpose": True}, "reason": "canary-reason"}
    )
    merge = {"with": "user_id:canary-merged", "reason": "canary-merge-reason"}
    client.post("/v1/profiles/user_id:canary-user/merge", merge)
    wait_for(lambda: client.get("/v1/triggers/canary-trigger/deliveries")["items"], "nobody was told")
    client.settled()


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Client]]:
    with receiving() as receiver, running(tmp_path_factory.mktemp("export") / "data") as (server, client):
        plant(client, receiver.url)
        wait_for(lambda: len(client.get("/v1/rejected")["items"]) == 2, "what was refused is not listed")
        yield server, client


def exported(client: Client, **params: str) -> zipfile.ZipFile:
    answer = client.http.get("/v1/profiles/email:canary@example.com/export", params=params)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/zip"
    packed = zipfile.ZipFile(io.BytesIO(answer.content))
    assert packed.testzip() is None
    return packed


def text_of(packed: zipfile.ZipFile, name: str) -> str:
    return packed.read(name).decode("utf-8-sig")


def rows(packed: zipfile.ZipFile, topic: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(packed.read(f"{topic}.json"))
    return found


def test_every_value_is_in_every_form(planted: tuple[Server, Client]) -> None:
    _, client = planted
    packed = exported(client)
    names = {f"{topic}.{form}" for topic in TOPICS for form in ("json", "csv")} | {"index.html"}
    assert set(packed.namelist()) == names
    as_json = "".join(text_of(packed, f"{topic}.json") for topic in TOPICS)
    cells = [
        cell
        for topic in TOPICS
        for line in csv.reader(io.StringIO(text_of(packed, f"{topic}.csv"), newline=""))
        for cell in line
    ]
    page = Read(text_of(packed, "index.html"))
    for canary in CANARIES:
        assert canary in as_json, canary
        assert any(canary in cell for cell in cells), canary
        assert canary in page.text, canary
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]
    assert "'=canary-formula" in cells
    assert "somebody-else" not in as_json + page.text


def test_each_topic_says_where_it_comes_from(planted: tuple[Server, Client]) -> None:
    _, client = planted
    packed = exported(client)
    [plan] = [one for one in rows(packed, "traits") if one["name"] == "plan"]
    assert plan["value"] == "canary-trait"
    assert {"source", "channel", "time"} <= plan.keys()
    # Two profiles became one: whether the segment had heard of the first before is chance.
    [stay] = [one for one in rows(packed, "segments") if "exited_at" not in one]
    assert (stay["segment"], stay["why"]["holds"]) == ("canary-segment", True)
    assert stay["cause"] in ("event", "merge")
    assert {one["outcome"] for one in rows(packed, "decisions")} >= {"merged"}
    [consent] = rows(packed, "consent")
    assert (consent["source"], consent["stated_by"]) == ("simorgh.platform", "token:env")
    assert {one["code"] for one in rows(packed, "rejected")} == {"missing_event"}
    assert [(one["source"], one["events"]) for one in rows(packed, "sources")] == [("default", 4)]
    assert {one["status"] for one in rows(packed, "deliveries")} == {"delivered"}
    assert [(one["account"], one["joined"]) for one in rows(packed, "accounts")] == [("canary-account", True)]
    events = rows(packed, "events")
    assert len(events) == 4
    assert [one["time"] for one in events] == sorted((one["time"] for one in events), reverse=True)


@pytest.mark.parametrize(
    ("params", "header", "language", "title"),
    [
        ({}, "", "en", "What we know about you"),
        ({}, "fa-IR,fa;q=0.9,en;q=0.8", "fa", "آنچه دربارهٔ شما می‌دانیم"),
        ({}, "de,en;q=0.5,fa;q=0.7", "fa", "آنچه دربارهٔ شما می‌دانیم"),
        ({"lang": "en"}, "fa", "en", "What we know about you"),
        ({"lang": "fa"}, "en", "fa", "آنچه دربارهٔ شما می‌دانیم"),
    ],
)
def test_the_page_speaks_their_language(
    planted: tuple[Server, Client], params: dict[str, str], header: str, language: str, title: str
) -> None:
    _, client = planted
    client.http.headers["accept-language"] = header
    page = Read(text_of(exported(client, **params), "index.html"))
    assert page.open == []
    [(_, html)] = [tag for tag in page.tags if tag[0] == "html"]
    assert html == {"lang": language, "dir": "rtl" if language == "fa" else "ltr"}
    assert title in page.text
    assert EVIL in page.text, "as text"
    used = {name for name, _ in page.tags}
    assert not used & {"script", "img", "link", "iframe", "form", "object"}
    assert all(not name.startswith("on") for _, attributes in page.tags for name in attributes)
    links = {attributes["href"] or "" for name, attributes in page.tags if name == "a"}
    assert all(link.startswith("#") or link.endswith((".json", ".csv")) for link in links)


def test_only_a_steward_who_may_see_what_is_personal_may(planted: tuple[Server, Client]) -> None:
    _, client = planted
    for scopes, status in ((["read"], 403), (["steward"], 403), (["steward", "personal"], 200)):
        token = client.post("/v1/tokens", {"scopes": scopes})["token"]
        answer = client.http.get(
            "/v1/profiles/user_id:canary-user/export", headers={"authorization": f"Bearer {token}"}
        )
        assert answer.status_code == status
    assert client.http.get("/v1/profiles/user_id:nobody/export").json()["code"] == "not_found"


def run(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return call("privacy", "export", *arguments, "--data", data)


def test_the_command_writes_a_file(planted: tuple[Server, Client], tmp_path: Path) -> None:
    server, _ = planted
    output = tmp_path / "sara.zip"
    ran = run(server.data, "user_id:canary-user", "--output", str(output), "--lang", "fa")
    assert ran.returncode == 0, ran.stderr
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    assert 'dir="rtl"' in text_of(zipfile.ZipFile(output), "index.html")
    again = run(server.data, "user_id:canary-user", "--output", str(output))
    assert again.returncode == 1
    assert "wanted a new file" in again.stderr
    nobody = run(server.data, "user_id:nobody", "--output", str(tmp_path / "nobody.zip"))
    assert nobody.returncode == 1
    assert [path.name for path in tmp_path.iterdir()] == ["sara.zip"]


def test_without_a_server_the_command_opens_the_folder(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(data) as (_, client):
        client.send({"type": "identify", "userId": "u1", "messageId": "1", "traits": {"city": "Isfahan"}})
        client.settled()
    output = tmp_path / "u1.zip"
    ran = run(data, "user_id:u1", "--output", str(output))
    assert ran.returncode == 0, ran.stderr
    assert rows(zipfile.ZipFile(output), "traits")[0]["value"] == "Isfahan"
