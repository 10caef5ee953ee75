"""Somebody is forgotten in the middle of load: nothing of them is left in any byte of the data folder, after whatever
crash, and nobody else changes."""

import base64
import gzip
import json
import os
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from eventlog.sqlite_chunks import ChunkPlace, sound_chunks
from eventlog.sqlite_file import connect, partitions_found
from tests.e2e.command_line import program
from tests.e2e.harness import Client, Server, running, wait_for
from tests.e2e.operator_day import sending
from tests.e2e.table_search import columns_with
from tests.effort import few
from tests.webhook_receiver import Receiver, receiving

pytestmark = pytest.mark.timeout(600)

CANARY = "kanarienvogel"
KEY = f"user_id:{CANARY}-id"
CLEANED = 360.0
"""Seconds. The engine's cleaner looks at a table every 30 s at first, and every five minutes where nothing happens."""
POINTS = ("rejected events destroyed", "erased", "keys destroyed", "rows deleted", "unreadable")
"""The numbered side effects of an erasure."""


def of_the_person(n: int = 0) -> list[dict[str, Any]]:
    """Everything that can hold a value holds the canary."""
    who = {"userId": f"{CANARY}-id", "anonymousId": f"{CANARY}-device", "context": {CANARY: [CANARY], "ip": CANARY}}
    consent = {"context": {"consent": {"categoryPreferences": {CANARY: True, "marketing": True}}}}
    order = {"order_id": f"{CANARY}-o{n}", "revenue": 10, "currency": "EUR", "gift_note": CANARY,
             "products": [{"product_id": "p1", "quantity": 2, "engraving": CANARY}]}  # fmt: skip
    return [
        who | {"type": "identify", "messageId": f"{CANARY}-a{n}",
               "traits": {"email": f"{CANARY}@example.com", "name": CANARY, "phone": f"+49 {CANARY}", CANARY: CANARY}},
        who | {"type": "track", "event": "Order Completed", "messageId": f"{CANARY}-b{n}", "properties": order},
        who | {"type": "track", "event": "Thing Done", "messageId": f"{CANARY}-c{n}", "properties": {CANARY: CANARY}},
        who | {"type": "page", "name": CANARY, "messageId": f"{CANARY}-d{n}", "properties": {"url": CANARY}},
        who | {"type": "track", "messageId": f"{CANARY}-e{n}", "properties": {CANARY: CANARY}},  # no event: rejected
        who | {"type": "track", "event": "Order Completed", "messageId": f"{CANARY}-f{n}",
               "properties": {"revenue": f"about {CANARY}"}},  # left out, and kept as it came
        who | {"type": "track", "event": "Thing Done", "messageId": f"{CANARY}-g{n}", "properties": {}} | consent,
        who | {"type": "track", "event": "Thing Done", "messageId": f"{CANARY}-c{n}", "properties": {CANARY: "other"}},
    ]  # fmt: skip


def forms_of(text: str) -> list[bytes]:
    """The bytes under which a text may lie in a file."""
    raw = text.encode()
    found = [raw, raw.upper(), raw.title(), text.encode("utf-16-le"), gzip.compress(raw)[10:-8]]
    for shift in range(3):
        found.append(base64.b64encode(b"x" * shift + raw)[4 * (shift > 0) : -4])
    return found


def files_of(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file below the folder, and its bytes. Some may go meanwhile."""
    for parent, _, names in os.walk(folder):
        for path in (Path(parent, name) for name in names):
            with suppress(FileNotFoundError):
                yield path, path.read_bytes()


def files_with(folder: Path, text: str) -> list[Path]:
    forms = forms_of(text)
    return [path for path, content in files_of(folder) if any(form in content for form in forms)]


def records_with(data: Path, text: str) -> list[str]:
    """The topics of the log that hold the text: what is compressed on disk is read as the log does."""
    forms, found = forms_of(text), set()
    with closing(connect(data / "log.sqlite", "ro")) as log:
        for topic, partitions in partitions_found(log).items():
            for place in (ChunkPlace(topic, partition) for partition in range(partitions)):
                if any(form in stored.chunk.body for stored in sound_chunks(log, place, 0) for form in forms):
                    found.add(topic)
    return sorted(found)


def require_nothing_left(folder: Path, data: Path) -> None:
    """`data`: the data folder, which no process has."""
    assert not files_with(folder, CANARY)
    assert not records_with(data, CANARY)
    assert not columns_with(data, CANARY)


def forget(client: Client, key: str = KEY) -> dict[str, Any]:
    answer = client.http.request("DELETE", f"/v1/profiles/{key}", json={"reason": "asked"})
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def tell_about_buyers(client: Client, receiver: Receiver) -> None:
    """The trigger `dead` calls an address where nobody listens."""
    client.post("/v1/segments", {"id": "buyers", "rule": {"event": "order.completed", "count": {"gte": 1}}})
    hook = {"url": receiver.url, "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
    client.post("/v1/triggers", {"id": "t", "segment": "buyers", "on": ["entered", "exited"], "webhook": hook})
    dead = {"url": "http://127.0.0.1:9/", "secret": hook["secret"]}
    client.post("/v1/triggers", {"id": "dead", "segment": "buyers", "on": ["exited"], "webhook": dead})


def states(client: Client) -> set[str]:
    return {one["state"] for one in client.get("/v1/privacy/requests")["items"]}


def destroyed(client: Client) -> bool:
    return states(client) == {"destroyed"}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


def check_sealed(data: Path) -> None:
    """While the person is known."""
    assert files_with(data, CANARY), "else the search would find nothing whatever there is"
    assert not [path for path in files_with(data, CANARY) if path.parent == data], "the log is sealed"
    assert not records_with(data, CANARY)
    assert records_with(data, "thing_done"), "else no record is searched"


def forget_and_die(server: Server, client: Client, point: str | None) -> None:
    """Until nobody can read anything of the person; the server is killed on the way, where it is told to be."""
    if point is None:
        assert forget(client)["state"] == "unreadable"
        return
    with pytest.raises(httpx.TransportError):
        forget(client)
    wait_for(server.died, "the server was not killed")
    server.stop()
    server.start()
    wait_for(lambda: "requested" not in states(client), "it can be read still")


def check_told(receiver: Receiver, profile: str) -> None:
    """Whoever is called learns the profile's id, and nothing else of it."""
    exits = wait_for(lambda: [one for one in bodies(receiver) if one["type"] == "segment.exited"], "nobody was told")
    assert exits[0]["data"] | {"trigger": "", "transition_id": ""} == {
        "segment": "buyers", "profile_id": profile, "identities": [], "cause": "erased", "trigger": "",
        "transition_id": "",
    }  # fmt: skip


@pytest.mark.parametrize("point", few(["keys destroyed"], [*POINTS, None]))
def test_nothing_of_whoever_was_forgotten_is_left_in_any_byte(
    tmp_path: Path, receiver: Receiver, point: str | None
) -> None:
    """`point`: the server is killed after this side effect, and goes on with the request when it starts again."""
    data = tmp_path / "data"
    crash = {"SIMORGH_CRASH_AT": f"{point}:1"} if point else {}
    with Server(data).start(**crash) as server, closing(Client(server)) as client:
        tell_about_buyers(client, receiver)
        with sending(server, 1, pause=0.1) as (sender,):
            wait_for(lambda: sender.acknowledged > 200, "nothing is sent")
            client.send(*of_the_person())
            client.settled()
            client.post(f"/v1/profiles/{KEY}/consent", {"consent": {CANARY: False}, "reason": CANARY})
            client.post("/v1/profiles/user_id:s0x0/consent", {"consent": {"marketing": True}, "reason": "at the desk"})
            view = client.profile(KEY)
            assert view["consent"] == {CANARY: False, "marketing": True}
            assert client.get(f"/v1/profiles/{KEY}/events")["items"]
            assert client.get("/v1/rejected")["items"]
            check_sealed(data)
            forget_and_die(server, client, point)
            [request] = client.get("/v1/privacy/requests")["items"]
            assert request["identities"] == len(view["identities"])
            assert client.http.get(f"/v1/profiles/{KEY}").status_code == 404
            assert client.http.get(f"/v1/profiles/{view['profile_id']}").status_code == 404
            assert not [one for one in client.get("/v1/rejected")["items"] if CANARY in json.dumps(one)]
            assert {one["code"] for one in client.send(*of_the_person(1))["rejected"]} == {"suppressed"}
            wait_for(lambda: destroyed(client), "not destroyed", CLEANED)
        check_told(receiver, view["profile_id"])
        events = client.settled()["events"]
        other = client.profile("user_id:s0x0")
        server.kill()
        server.start()
        assert destroyed(client)
        assert client.settled()["events"] == events
        waiting = client.get("/v1/triggers/dead/deliveries")["items"]
        assert [one["status"] for one in waiting] == ["pending"], "whoever was away is told to forget them, too"
        assert client.http.get(f"/v1/profiles/{KEY}").status_code == 404
    require_nothing_left(tmp_path, data)
    program("replay", "--data", data).answer()
    require_nothing_left(tmp_path, data)
    with running(data) as (_, client):
        assert client.http.get(f"/v1/profiles/{KEY}").status_code == 404
        again = client.profile("user_id:s0x0")
        assert {**again, "freshness": None} == {**other, "freshness": None}
        audit = client.get("/v1/audit", action="profiles.erase")["items"]
        answered = [202] if point is None else []
        assert [one["status"] for one in audit] == [*answered, None], "it outlives the person"
        assert audit[0]["profiles"] == ([view["profile_id"]] if answered else []), "a killed server has not found it"
        assert again["consent"] == {"marketing": True}
        assert client.get("/v1/profiles/user_id:s0x0/consent")["items"][0]["reason"] == "at the desk"
        assert client.settled()["events"] == events


def bodies(receiver: Receiver) -> list[dict[str, Any]]:
    return [json.loads(one.body) for one in receiver.calls]


def test_a_backup_from_before_yields_nothing_beside_the_keys_of_today(tmp_path: Path) -> None:
    data, kept, keys, fresh = tmp_path / "data", tmp_path / "kept", tmp_path / "keys.sqlite", tmp_path / "new" / "data"
    with running(data) as (_, client):
        client.send(*of_the_person(), {"type": "identify", "userId": "other", "traits": {"city": "Shiraz"}})
        client.settled()
        program("backup", kept, "--keys", keys, "--data", data).answer()
        forget(client)
    assert "destroyed: 1, waiting: 0" in program("privacy", "purge", "--data", data).answer()
    require_nothing_left(data, data)
    assert "wanted the data keys" in program("restore", kept, "--data", fresh).fault(1)
    program("backup", tmp_path / "later", "--keys", keys, "--data", data).answer()
    assert "restored" in program("restore", kept, "--keys", keys, "--data", fresh).answer()
    fresh.parent.joinpath("server.err").touch()
    with running(fresh) as (_, client):
        client.settled()
        assert client.profile("user_id:other")["traits"] == {"city": "Shiraz"}
        found = client.http.get(f"/v1/profiles/{KEY}", params={"include": "traits,identities,events"})
        assert CANARY not in found.text.replace(KEY, "")
        assert not [one for one in client.get("/v1/rejected")["items"] if CANARY in json.dumps(one)]
    require_nothing_left(fresh, fresh)


def asks_in_opengdpr(client: Client) -> None:
    """Of one person, by several identities; some that nobody has, and never by those of two people."""

    def ask(id: str, *keys: str, type: str = "erasure") -> tuple[int, dict[str, Any]]:
        who = [dict(zip(("identity_type", "identity_value"), key.split(":"), strict=True)) for key in keys]
        body = {"subject_request_id": id, "subject_request_type": type, "subject_identities": who}
        answer = client.http.post("/v1/privacy/requests", json=body)
        return answer.status_code, answer.json()

    assert ask("g-1", "user_id:u2", "email:u3@example.com")[1]["code"] == "several_people"
    assert ask("g-1", "user_id:no", "email:no@example.com")[0] == 404
    assert ask("g-2", "user_id:u2", "email:U2@example.com", type="portability")[1]["type"] == "access"
    code, request = ask("g-1", "user_id:no", "email:U3@example.com", "user_id:u3")
    assert (code, request["state"], request["identities"]) == (202, "unreadable", 2)
    assert ask("g-1", "user_id:u2", "user_id:u0")[1]["profile_id"] == request["profile_id"], "the same request"
    assert client.profile("user_id:u2")["traits"]["city"] == "Shiraz"


def test_many_are_forgotten_at_once_and_come_back_as_somebody_new(tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "keys.txt"
    people = [
        {"type": "identify", "userId": f"u{n}", "traits": {"email": f"u{n}@example.com", "city": "Shiraz"}}
        for n in range(4)
    ]
    with running(data) as (_, client):
        client.send(*people)
        client.settled()
        before = [client.profile(f"user_id:u{n}") for n in range(4)]
        asks_in_opengdpr(client)
        file.write_text("user_id:u0\nemail:u1@example.com\nuser_id:nobody\n")
        chosen = ("--reason", "ticket 4712", "--returning", "start_anew", "--yes", "--json", "--data", data)
        told = json.loads(program("privacy", "erase", "--file", file, *chosen).answer())
        assert {one["profile_id"] for one in told["items"]} == {one["profile_id"] for one in before[:2]}
        assert {(one["state"], one["returning"]) for one in told["items"]} == {("unreadable", "start_anew")}
        assert told["unknown"] == [3]
        client.send({"type": "track", "userId": "u0", "event": "Thing Done", "properties": {}})
        client.settled()
        after = client.profile("user_id:u0")
        assert after["profile_id"] != before[0]["profile_id"]
        assert (after["metrics"]["events"], after["traits"]) == (1, {})
        assert client.http.get(f"/v1/profiles/{before[0]['profile_id']}").status_code == 404
        assert client.http.get("/v1/profiles/email:u1@example.com").status_code == 404
        [request] = [one["id"] for one in told["items"] if one["profile_id"] == before[0]["profile_id"]]
        for decision, codes in (("refuse", {"suppressed"}), ("start_anew", set())):
            answer = program("privacy", "returning", request, decision, "--json", "--data", data).answer()
            assert json.loads(answer)["returning"] == decision
            event = {"type": "track", "userId": "u0", "event": "Thing Done", "properties": {}}
            wait_for(lambda: {one["code"] for one in client.send(event).get("rejected", [])} == codes, decision)  # noqa: B023
            assert client.profile("user_id:u0")["profile_id"] == after["profile_id"], "who came back stays"
        client.settled()
        after = client.profile("user_id:u0")
    program("replay", "--data", data).answer()
    with running(data) as (_, client):
        assert {**client.profile("user_id:u0"), "freshness": None} == {**after, "freshness": None}
        assert {**client.profile("user_id:u2"), "freshness": None} == {**before[2], "freshness": None}
