"""Commands against a running server, as an operator uses them: whole answers, every verb, nothing cut."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simorgh.commands.export import safe
from tests.e2e.command_line import Ended, simorgh
from tests.e2e.harness import Client, Server, running, wait_for
from tests.programs import Program

RULE = {"event": "order.completed", "count": {"gte": 1}}
LONG = "a-very-long-message-id-" + "x" * 150


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Client]]:
    """Two customers, one of whom has bought and has a name that a spreadsheet would run; a few refused events."""
    with running(tmp_path_factory.mktemp("served") / "data") as (server, client):
        client.send(
            {"type": "identify", "userId": "u1", "messageId": "i1",
             "traits": {"name": "=1+1", "email": "a@example.com"}},
            {"type": "identify", "userId": "u2", "messageId": "i2", "traits": {"name": "سارا"}},
            {"type": "track", "userId": "u1", "event": "Order Completed", "messageId": LONG,
             "properties": {"order_id": "o1", "revenue": 9.5, "currency": "EUR"}},
            *({"type": "track", "event": "Nobody", "messageId": f"bad-{n}"} for n in range(3)),
        )  # fmt: skip
        client.settled()
        yield server, client


@pytest.fixture
def server(world: tuple[Server, Client]) -> Server:
    return world[0]


def ran(server: Server, *words: str | Path) -> Ended:
    return simorgh(*words, "--data", server.data)


def written(path: Path, body: Any) -> Path:
    path.write_text(json.dumps(body))
    return path


# --- lists


@pytest.mark.parametrize(
    "name",
    ["profiles list", "profiles events user_id:u1", "profiles identities user_id:u1", "segments list", "triggers list",
     "sources list", "keys list", "rejected list", "profiles lookup user_id:u1"],
)  # fmt: skip
def test_every_list_is_json_when_asked_and_plain_in_a_pipe(server: Server, name: str) -> None:
    listed = ran(server, *name.split(), "--json").json()
    assert set(listed) >= {"items", "next_cursor"}
    ended = ran(server, *name.split())
    assert len(ended.rows()) == len(listed["items"])
    assert not set("…│━") & set(ended.out)


def test_ids_are_whole_in_a_pipe(server: Server) -> None:
    rows = ran(server, "profiles", "events", "user_id:u1", "--type", "order.completed").rows()
    assert [row["id"] for row in rows] == [LONG]


def test_a_list_goes_on_to_its_end_and_says_where_it_stops(server: Server) -> None:
    two = ran(server, "rejected", "list", "--limit", "2")
    assert len(two.rows()) == 2
    assert "--all" in two.err
    everything = ran(server, "rejected", "list", "--all")
    assert {row["id"] for row in everything.rows()} >= {"bad-0", "bad-1", "bad-2"}
    assert not everything.err


# --- profiles


def test_profiles_are_found_shown_merged_and_split(server: Server) -> None:
    [found] = ran(server, "profiles", "list", "--search", "a@example.com").rows()
    assert (found["name"], found["orders"]) == ("=1+1", "1")
    view = ran(server, "profiles", "show", "email:A@example.com", "--json").json()
    assert view["profile_id"] == found["profile_id"]
    assert json.loads(ran(server, "profiles", "show", "user_id:u1").out)["traits"] == view["traits"]
    looked = ran(server, "profiles", "lookup", "user_id:u2", "user_id:nobody", view["profile_id"]).rows()
    assert [bool(row["profile_id"]) for row in looked] == [True, False, True]
    [merged] = ran(server, "profiles", "merge", "user_id:u1", "--with", "user_id:u2", "--reason", "x", "--json").json()[
        "items"
    ]
    assert {one["value"] for one in merged["identities"]} >= {"u1", "u2"}
    split = ("profiles", "split", "user_id:u1", "--identity", "user_id:u2")
    sides = ran(server, *split, "--dry-run").out.splitlines()[1:]
    assert [line.split("\t")[0] for line in sides] == ["stays", "leaves"]
    kept, left = ran(server, *split, "--json").json()["items"]
    shown = [line.split("\t")[1] for line in sides]
    assert set(shown) == {merged["profile_id"], "another one"}
    assert merged["profile_id"] == (kept if shown[1] == "another one" else left)["profile_id"]
    assert kept["profile_id"] != left["profile_id"]
    told = ran(server, "profiles", "identities", "user_id:u1", "--explain", "--json").json()
    assert {one["outcome"] for one in told["decisions"]} >= {"merged", "split"}


# --- segments and triggers


def test_segments_and_triggers_from_birth_to_death(server: Server, tmp_path: Path) -> None:
    file = written(tmp_path / "buyers.json", {"id": "buyers", "name": "[bold]Buyers[/bold]", "rule": RULE})
    assert ran(server, "segments", "preview", file, "--json").json()["count"] == 1
    assert ran(server, "segments", "create", file, "--json").json()["size"] == 1
    [row] = ran(server, "segments", "list").rows()
    assert (row["id"], row["name"], row["size"]) == ("buyers", "[bold]Buyers[/bold]", "1")
    [member] = ran(server, "segments", "members", "buyers", "--all").rows()
    assert ran(server, "segments", "why", "buyers", member["profile_id"], "--json").json()["member"]
    more = written(tmp_path / "more.json", {"rule": {**RULE, "count": {"gte": 2}}})
    assert ran(server, "segments", "update", "buyers", more, "--json").json()["version"] == 2
    assert ran(server, "segments", "show", "buyers", "--json").json()["size"] == 0

    hook: dict[str, Any] = {"id": "welcome", "segment": "buyers", "webhook": {"url": "http://127.0.0.1:9/x"}}
    made = ran(server, "triggers", "create", written(tmp_path / "hook.json", hook), "--json").json()
    assert made["webhook"]["secret"].startswith("whsec_")
    assert ran(server, "triggers", "pause", "welcome").out == "paused\n"
    assert [row["enabled"] for row in ran(server, "triggers", "list").rows()] == ["no"]
    assert ran(server, "triggers", "resume", "welcome").out == "resumed\n"
    shown = ran(server, "triggers", "show", "welcome", "--json").json()
    assert (shown["enabled"], shown["on"], shown["webhook"]["url"]) == (
        True,
        ["entered", "exited"],
        hook["webhook"]["url"],
    )
    assert (
        ran(server, "triggers", "update", "welcome", written(tmp_path / "h.json", {**hook, "on": ["entered"]})).code
        == 0
    )
    assert ran(server, "triggers", "deliveries", "welcome", "--status", "gave_up").rows() == []
    assert "welcome" in ran(server, "segments", "delete", "buyers").fault()
    assert ran(server, "triggers", "delete", "welcome").out == "deleted\n"
    assert ran(server, "segments", "delete", "buyers").out == "deleted\n"


# --- sources and tokens


def test_a_source_is_changed_setting_by_setting_and_its_keys_one_by_one(server: Server) -> None:
    first = ran(server, "sources", "create", "shop", "--json").json()
    second = ran(server, "sources", "key", "add", "shop", "--json").json()
    keys = ran(server, "sources", "key", "list", "shop").rows()
    assert [(key["id"], key["age"]) for key in keys] == [(first["id"], "old"), (second["id"], "new")]
    assert all(key["created_at"] for key in keys)
    assert all(
        made["write_key"].startswith(key["begins"].rstrip("…")) for made, key in zip((first, second), keys, strict=True)
    )
    changed = ran(server, "sources", "update", "shop", "name=My shop", "unplanned=reject", "--json").json()
    assert (changed["name"], changed["unplanned"], changed["channel"]) == ("My shop", "reject", "web")
    assert ran(server, "sources", "disable", "shop").code == 0
    assert not ran(server, "sources", "show", "shop", "--json").json()["enabled"]
    assert ran(server, "sources", "enable", "shop").code == 0
    assert ran(server, "sources", "key", "remove", "shop", first["id"]).out == "removed\n"
    [left] = ran(server, "sources", "key", "list", "shop").rows()
    assert (left["id"], left["age"]) == (second["id"], "only")
    assert "spaceship" in ran(server, "sources", "update", "shop", "channel=spaceship").fault()
    assert ran(server, "sources", "update", "shop", "channel=spaceship", "--new-channel").code == 0
    assert ran(server, "sources", "create", "other", "--channel", "spaceship").code == 0  # declared by now
    for name in ("shop", "other"):
        assert ran(server, "sources", "delete", name).out == "deleted\n"


def test_tokens_come_and_go(server: Server) -> None:
    made = ran(server, "keys", "create", "dash", "--scopes", "read, write", "--json").json()
    assert made["id"] in {row["id"] for row in ran(server, "keys", "list").rows()}
    assert made["token"] not in ran(server, "keys", "list", "--json").out
    assert ran(server, "keys", "delete", made["id"]).out == "deleted\n"


# --- rejected events


def test_rejected_events_are_retried_one_corrected_or_many_as_they_are(server: Server, tmp_path: Path) -> None:
    good = written(tmp_path / "good.json", {"type": "track", "userId": "u1", "event": "Mended"})
    assert ran(server, "rejected", "retry", "bad-0", "--payload", good, "--json").json()["status"] == "accepted"
    again = ran(server, "rejected", "retry", "bad-1", "no-such-id", "bad-2")
    assert again.code == 1
    rows = [line.split("\t")[:2] for line in again.out.splitlines()[1:]]
    assert rows == [["bad-1", "rejected"], ["no-such-id", "rejected"], ["bad-2", "rejected"]]
    assert "0 of 3 accepted" in again.err


def test_rejected_events_are_dismissed_by_id_and_by_what_they_are(world: tuple[Server, Client]) -> None:
    server, client = world
    client.send(*({"type": "track", "event": "Nobody", "messageId": f"gone-{n}"} for n in range(4)))
    client.settled()

    def waiting() -> set[str]:
        client.settled()
        return {row["id"] for row in ran(server, "rejected", "list", "--all", "--since", "1h").rows()}

    assert waiting() >= {f"gone-{n}" for n in range(4)}
    assert ran(server, "rejected", "list", "--until", "1h").rows() == []
    assert ran(server, "rejected", "dismiss", "gone-0").out == "dismissed 1\n"
    assert waiting() & {f"gone-{n}" for n in range(4)} == {f"gone-{n}" for n in range(1, 4)}
    [code] = {row["code"] for row in ran(server, "rejected", "list").rows() if row["id"] == "gone-1"}
    assert ran(server, "rejected", "dismiss", "--all", "--code", "no-such-code").out == "dismissed 0\n"
    count = int(ran(server, "rejected", "dismiss", "--all", "--code", code).out.split()[1])
    assert count >= 3
    assert not waiting() & {f"gone-{n}" for n in range(4)}
    settled = {row["id"] for row in ran(server, "rejected", "list", "--resolved", "--all").rows()}
    assert settled >= {f"gone-{n}" for n in range(4)}
    assert ran(server, "rejected", "dismiss", "--all").code == 0
    assert waiting() == set()


def test_a_token_may_have_an_end(server: Server) -> None:
    made = ran(server, "keys", "create", "short", "--expires", "2h", "--json").json()
    [listed] = [row for row in ran(server, "keys", "list").rows() if row["id"] == made["id"]]
    assert listed["expires_at"] == made["expires_at"] > made["expires_at"][:4]
    assert ran(server, "keys", "delete", made["id"]).code == 0


# --- export


def test_a_segment_is_exported_as_lines_and_as_a_table_that_spreadsheets_do_not_run(
    server: Server, tmp_path: Path
) -> None:
    file = written(tmp_path / "s.json", {"id": "everybody", "rule": {"identity": "user_id", "exists": True}})
    assert ran(server, "segments", "create", file).code == 0
    lines = ran(server, "export", "segment", "everybody").out.splitlines()
    assert {json.loads(line)["traits"]["name"] for line in lines} == {"=1+1", "سارا"}
    out = tmp_path / "people.csv"
    ended = ran(server, "export", "segment", "everybody", "--format", "csv", "--out", out)
    assert (ended.code, ended.out) == (0, "")
    assert out.stat().st_mode & 0o777 == 0o600
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    assert {(row["traits.name"], row["identities.user_id"]) for row in rows} == {("'=1+1", "u1"), ("سارا", "u2")}
    assert "wanted a new file" in ran(server, "export", "profiles", "--out", out).fault()
    assert len(ran(server, "export", "profiles", "--include", "traits").out.splitlines()) >= 2
    ran(server, "segments", "delete", "everybody")


@pytest.mark.parametrize(
    ("value", "cell"),
    [("=1+1", "'=1+1"), ("+989121234567", "+989121234567"), ("-2+3", "'-2+3"), ("@x", "'@x"), ("\t=1", "'\t=1"),
     (" =1", "' =1"), ("＝1", "'＝1"), (-5, -5), ("plain", "plain"), (None, None), (["=1"], '["=1"]')],
)  # fmt: skip
def test_a_cell_is_never_a_formula(value: Any, cell: Any) -> None:
    assert safe(value) == cell


# --- status and the tail


def test_status_for_people_and_for_programs(server: Server) -> None:
    answer = ran(server, "status", "--json").json()
    assert answer["events"]["logged"] >= 3
    assert f"logged\t{answer['events']['logged']:,}" in ran(server, "status").out


def tailing(server: Server, *words: str) -> Program:
    pipe = subprocess.PIPE
    return Program("tail", "--json", *words, "--data", server.data, stdout=pipe, stderr=pipe)


def test_a_tail_shows_each_event_once_however_many_come_and_ends_quietly(world: tuple[Server, Client]) -> None:
    server, client = world
    tail = tailing(server, "--lines", "3")
    assert tail.stdout is not None
    assert tail.stderr is not None
    first = [json.loads(tail.stdout.readline())["id"] for _ in range(3)]
    sent = [f"t-{n}" for n in range(2_400)]
    for start in range(0, len(sent), 400):
        events = [{"type": "page", "userId": "u1", "messageId": one} for one in sent[start : start + 400]]
        client.send(*events)
    seen = [json.loads(tail.stdout.readline())["id"] for _ in sent]
    assert len(set(first)) == 3
    assert sorted(seen) == sorted(sent)
    tail.send_signal(signal.SIGINT)
    assert tail.wait(30) == 130
    assert (tail.stdout.read(), tail.stderr.read()) == ("", "")
    tail.stdout.close()
    tail.stderr.close()


def test_a_tail_ends_when_nobody_reads_it_any_more(server: Server) -> None:
    tail = tailing(server, "--lines", "1")
    assert tail.stdout is not None
    assert tail.stderr is not None
    assert json.loads(tail.stdout.readline())
    tail.stdout.close()
    wait_for(lambda: tail.poll() is not None, "the tail goes on for nobody", 30)
    assert tail.stderr.read() == ""
    tail.stderr.close()


def test_output_into_a_closed_pipe_is_no_error(server: Server) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "simorgh", "schemas", "list"]
    ended = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert ended.returncode in (1, 141)  # the parser's way, and ours where it has ended
    assert ended.stderr == ""
