"""Every command called wrongly in every way that fits it: one line that says what is wrong, and nothing is made."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from simorgh.commands_docs import commands
from tests.e2e.command_line import nothing_made, simorgh
from tests.e2e.harness import Server, running

FILE, NEW, FOLDER, ID = "<file>", "<new file>", "<folder>", "<id>"
CALLS: dict[str, list[str]] = {
    "import": [FILE, "--mapping", FILE],
    "watch": [FOLDER, "--mapping", FILE, "--once"],
    "status": [],
    "tail": [],
    "replay": [],
    "migrate": [],
    "profiles list": [],
    "profiles show": [ID],
    "profiles events": [ID],
    "profiles identities": [ID],
    "profiles lookup": ["--file", FILE],
    "profiles merge": [ID, "--with", "user_id:nobody"],
    "profiles split": [ID, "--identity", "user_id:nobody"],
    "segments list": [],
    "segments show": [ID],
    "segments create": [FILE],
    "segments update": [ID, FILE],
    "segments preview": [FILE],
    "segments members": [ID],
    "segments why": [ID, "user_id:nobody"],
    "segments delete": [ID],
    "traits list": [],
    "traits show": [ID],
    "traits create": [FILE],
    "traits update": [ID, FILE],
    "traits why": [ID, "user_id:nobody"],
    "traits delete": [ID],
    "traits add": ["lifecycle"],
    "triggers list": [],
    "triggers show": [ID],
    "triggers create": [FILE],
    "triggers update": [ID, FILE],
    "triggers pause": [ID],
    "triggers resume": [ID],
    "triggers delete": [ID],
    "triggers deliveries": [ID],
    "export profiles": [],
    "export segment": [ID],
    "sources list": [],
    "sources show": [ID],
    "sources create": ["new"],
    "sources update": [ID, "name=x"],
    "sources disable": [ID],
    "sources enable": [ID],
    "sources delete": [ID],
    "sources key list": [ID],
    "sources key add": [ID],
    "sources key remove": [ID, "0123456789ab"],
    "sources secret list": [ID],
    "sources secret add": [ID, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    "sources secret rotate": [ID, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    "sources secret remove": [ID, "0123456789ab"],
    "sources test": [ID, FILE],
    "keys list": [],
    "keys create": ["new"],
    "keys delete": [ID],
    "rejected list": [],
    "rejected show": [ID],
    "rejected retry": [ID, "--payload", FILE],
    "rejected dismiss": [ID],
    "privacy requests": [],
    "privacy purge": [],
    "privacy audit list": [],
    "privacy audit verify": [],
    "privacy export": [ID, "--output", NEW],
    "privacy erase": [ID, "--reason", "asked", "--yes"],
    "privacy returning": [ID, "refuse"],
}
"""How each command that needs data is called."""

WITHOUT_DATA = {
    "backup",
    "restore",
    "secret renew",
    "serve",
    "collect",
    "work",
    "api",
    "demo",
    "doctor",
    "version",
    "schemas check",
    "schemas list",
    "traits shipped",
}
WITH_FILES = [name for name, words in CALLS.items() if FILE in words]
WITH_IDS = [name for name, words in CALLS.items() if ID in words]
GOOD = '{"rule": {"trait": "city", "exists": true}, "segment": "none", "webhook": {"url": "https://example.com"}}'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("served") / "data") as (made, _):
        yield made


def called(name: str, *, file: Path, unknown: str = "nobody") -> list[str | Path]:
    stands_for: dict[object, str | Path] = {
        FILE: file,
        NEW: file.with_name("new.zip"),
        FOLDER: file.parent,
        ID: unknown,
    }
    return [*name.split(), *(stands_for.get(word, str(word)) for word in CALLS[name])]


def test_every_command_is_called() -> None:
    assert {name for name, _ in commands()} - WITHOUT_DATA == set(CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_a_folder_that_is_not_there_is_refused_and_not_made(name: str, tmp_path: Path) -> None:
    file = tmp_path / "good.json"
    file.write_text(GOOD)
    with nothing_made(tmp_path):
        told = simorgh(*called(name, file=file), "--data", tmp_path / "typo").fault()
    if name not in ("import", "watch"):  # their mapping is looked at first
        assert "typo" in told


@pytest.mark.parametrize("name", [*CALLS, *sorted(WITHOUT_DATA)])
def test_an_option_that_is_none_is_named(name: str, tmp_path: Path) -> None:
    with nothing_made(tmp_path):
        told = simorgh(*name.split(), "--no-such-option").fault()
    assert "--no-such-option" in told
    assert f"`simorgh {name} --help`" in told


@pytest.mark.parametrize("name", WITH_FILES)
@pytest.mark.parametrize("kind", ["missing", "folder", "binary", "cut off", "a list", "empty"])
def test_a_file_that_cannot_be_read_is_named(name: str, kind: str, tmp_path: Path, server: Server) -> None:
    file = tmp_path / "given.json"
    if kind == "folder":
        file.mkdir()
    elif kind != "missing":
        file.write_bytes({"binary": b"\x89PNG\r\n\0\xff\xfe", "cut off": b'{"a": [1', "a list": b"[1]"}.get(kind, b""))
    ended = simorgh(*called(name, file=file, unknown="nobody"), "--data", server.data)
    if name == "profiles lookup" and kind == "cut off":
        assert ended.code == 0  # a text file; nobody has this identifier
    elif name == "profiles lookup" and kind == "a list":
        assert "type:value" in ended.fault()  # it is a text file, with keys that are none
    elif name in ("rejected retry", "sources test") and kind not in ("missing", "folder"):
        ended.fault()  # any bytes may be an event, or a vendor's request; nobody has the id
    elif name == "profiles lookup" and kind == "empty":
        assert "wanted at least one key" in ended.fault()
    else:
        assert "given.json" in ended.fault()


@pytest.mark.parametrize("name", WITH_IDS)
@pytest.mark.parametrize("unknown", ["nobody", "user_id:nobody", "a b/../%2e%2e?x=1#y", "[red]نه[/red]"])
def test_what_is_not_there_is_said(name: str, unknown: str, tmp_path: Path, server: Server) -> None:
    file = tmp_path / "good.json"
    file.write_text(GOOD)
    simorgh(*called(name, file=file, unknown=unknown), "--data", server.data).fault()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nonsense"], "nonsense"),
        (["keys", "create", "x", "--scopes", "root"], "scopes"),
        (["keys", "create", "x", "--expires", "tomorrow"], "90d"),
        (["keys", "create", "x", "--expires", "2001-01-01"], "passed"),
        (["sources", "create", "shop", "--channel", "spaceship"], "web, mobile, email"),
        (["sources", "create", "Not A Slug"], "id"),
        (["sources", "update", "default", "currency"], "NAME=VALUE"),
        (["profiles", "list", "--limit", "0"], "--limit"),
        (["profiles", "show", "user_id:x", "--include", "shoes"], "include"),
        (["profiles", "split", "user_id:x", "--identity", "nothing"], "type:value"),
        (["rejected", "retry"], "--all"),
        (["rejected", "dismiss", "a", "--all"], "got both"),
        (["rejected", "retry", "a", "--code", "x"], "--all"),
        (["tail", "--lines", "-1"], "--lines"),
        (["export", "profiles", "--format", "xml"], "--format"),
        (["export", "profiles", "--out", "/no/such/folder/x"], "/no/such/folder"),
        (["triggers", "deliveries", "x", "--status", "lost"], "--status"),
    ],
)
def test_a_wrong_value_is_named(words: list[str], told: str, server: Server) -> None:
    data = [] if words == ["nonsense"] else ["--data", str(server.data)]
    assert told in simorgh(*words, *data).fault()


def test_a_server_that_went_away_without_a_word(tmp_path: Path) -> None:
    (tmp_path / "server.json").write_text('{"url": "http://127.0.0.1:9", "pid": 1, "token": "x"}')
    simorgh("segments", "list", "--data", tmp_path).fault()
