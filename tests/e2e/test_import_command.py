"""`simorgh import` as its user meets it: what is new, what was here, and stopping before a wrong mapping is stored."""

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from tests.e2e.command_line import TILL, Ended, nothing_made, program, simorgh, started
from tests.e2e.harness import Client, Server, running

HEADER = "receipt,when,card,item,n,each"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Client]]:
    with running(tmp_path_factory.mktemp("served") / "data") as made:
        yield made


class Till:
    """A folder with a mapping of its own, so that no two tests share a document."""

    def __init__(self, folder: Path, server: Server, name: str) -> None:
        self.folder, self.server = folder, server
        self.mapping = folder / "till.toml"
        self.mapping.write_text(TILL.replace('"till"', f'"{name}"'))

    def file(self, rows: list[str], header: str = HEADER, name: str = "till.csv") -> Path:
        path = self.folder / name
        path.write_text("\n".join([header, *rows]) + "\n")
        return path

    def run(self, path: Path, *more: str) -> Ended:
        return simorgh("import", path, "--mapping", self.mapping, "--data", self.server.data, *more)


@pytest.fixture
def till(world: tuple[Server, Client], tmp_path: Path, request: pytest.FixtureRequest) -> Till:
    return Till(tmp_path, world[0], request.node.name.replace("_", "-").split("[")[0][:60])


def row(number: int, when: str = "2024-07-01 10:00", n: str = "1") -> str:
    return f"{number},{when},{number % 7},apple,{n},2.5"


def counts(ended: Ended) -> tuple[Any, ...]:
    report = ended.json()
    return report["events"], report["new"], report["already_here"]


def test_the_same_file_again_is_already_here_and_a_longer_one_is_new_at_its_end(till: Till) -> None:
    path = till.file([row(n) for n in range(1, 1_201)])
    assert counts(till.run(path, "--json")) == (1_200, 1_200, 0)
    assert counts(till.run(path, "--json")) == (1_200, 0, 1_200)
    till.file([row(n) for n in range(1, 1_211)])
    ended = till.run(path)
    assert "1,210 rows became 1,210 events: 10 new, 1,200 already here" in ended.out


def test_a_corrected_order_is_an_event_of_its_own(till: Till, world: tuple[Server, Client]) -> None:
    _, client = world

    def told(*rows: str) -> tuple[int, ...]:
        report = till.run(till.file([*rows]), "--json").json()
        return tuple(report[name] for name in ("new", "already_here", "corrected", "conflicting"))

    right, wrong = row(9_001, n="2"), row(9_001, n="20")
    assert told(wrong, row(9_002)) == (2, 0, 0, 0)
    before = client.settled()["events"]
    assert told(right, row(9_002)) == (0, 1, 1, 0)
    assert told(right, row(9_002)) == (0, 2, 0, 0)
    assert told(wrong, row(9_002)) == (0, 1, 1, 0), "and back"
    assert told(wrong, row(9_002)) == (0, 2, 0, 0)
    after = client.settled()["events"]
    assert after["logged"] - before["logged"] == 2, "what is here is not sent again"
    assert after["duplicates"] == before["duplicates"]


def test_rows_that_a_later_import_brings_in_are_settled(till: Till, world: tuple[Server, Client]) -> None:
    _, client = world

    def settled(*rows: str) -> int:
        found: int = till.run(till.file([*rows]), "--json", "--max-refused", "1").json()["settled"]
        return found

    def waiting() -> int:
        client.settled()
        return len(client.get("/v1/rejected?code=refused_by_sender&limit=1000")["items"])

    before = waiting()
    assert settled(row(8_001, n="two"), row(8_002), row(8_003, n="x")) == 0
    assert waiting() == before + 2
    assert settled(row(8_001, n="2"), row(8_002), row(8_003, n="x")) == 1
    assert waiting() == before + 1, "one is right now, and the other one still waits"
    assert settled(row(8_001, n="2"), row(8_002)) == 0


def test_other_traffic_does_not_blur_what_is_new(till: Till, world: tuple[Server, Client]) -> None:
    _, client = world
    path = till.file([row(n) for n in range(1, 51)])
    page = {"type": "page", "userId": "u", "messageId": "again"}
    client.send(page, page)
    assert counts(till.run(path, "--json")) == (50, 50, 0)
    client.send(page)
    assert counts(till.run(path, "--json")) == (50, 0, 50)


@pytest.mark.parametrize("wrong", ["first", "later"])
def test_one_wrong_format_is_not_stored_a_thousand_times(till: Till, world: tuple[Server, Client], wrong: str) -> None:
    _, client = world
    before = client.settled()["events"]
    good = 0 if wrong == "first" else 1_500
    path = till.file([row(n, "2024-07-01" if n <= good else "01.07.2024") for n in range(1, 4_001)])
    told = till.run(path).fault()
    assert "1,000 rows failed for one reason: time_not_a_time" in told
    assert "--go-on" in told
    after = client.settled()["events"]
    assert after["rejected"] - before["rejected"] < 1_000
    assert after["logged"] - before["logged"] == good  # what was right is in


def test_going_on_keeps_what_is_refused(till: Till, world: tuple[Server, Client]) -> None:
    _, client = world
    before = client.settled()["events"]["rejected"]
    path = till.file([row(n, "01.07.2024") for n in range(1, 1_101)])
    ended = till.run(path, "--go-on", "--json")
    assert ended.code == 1
    assert client.settled()["events"]["rejected"] - before == 1_100


def test_where_nothing_can_be_used_the_exit_says_so(till: Till) -> None:
    ended = till.run(till.file([row(1, n="none"), row(2, n="none")]))
    assert ended.code == 1
    assert "no row could be used" in ended.err
    half = till.file([row(1, n="none"), row(2, n="2")])
    ended = till.run(half)
    assert ended.code == 1
    assert "wanted at most 10% of 2 rows refused, got 1" in ended.err
    assert till.run(half, "--max-refused", "0.5").code == 0
    assert till.run(till.file([row(1, n="none")]), "--dry-run").code == 1
    assert till.run(till.file([])).code == 0


def test_all_missing_columns_are_named_at_once_and_near_ones_proposed(till: Till) -> None:
    told = till.run(till.file(["1,2"], header="receit,town")).fault()
    assert "columns receipt, when, item, n, each, card" in told
    assert "did you mean receit for receipt?" in told


def test_a_first_line_that_is_data_is_not_shown(till: Till) -> None:
    told = till.run(till.file([], header="1,2024-07-01,sara@example.com,apple")).fault()
    assert "no header" in told
    assert "sara" not in told


def test_a_column_that_is_there_twice_is_refused_if_the_mapping_names_it(till: Till) -> None:
    told = till.run(till.file([row(1) + ",3"], header=HEADER + ",each")).fault()
    assert "each is column 6 and 7" in told
    assert counts(till.run(till.file([row(1) + ",3,4"], header=HEADER + ",x,x"), "--json"))[0] == 1


def test_json_lines_tell_all_missing_columns_too(till: Till) -> None:
    path = till.folder / "till.jsonl"
    path.write_text('{"receipt": "1", "when": "2024-07-01"}\n{"receipt": "2", "price": 3}\n')
    assert (
        "wanted columns item, n, each, which the mapping names, got none in the first 2 rows" in till.run(path).fault()
    )


def test_a_channel_that_nobody_knows_is_refused_wherever_it_stands(till: Till) -> None:
    path = till.file([row(1)])
    for more in (["--channel", "spaceship"], ["--channel", "spaceship", "--dry-run"]):
        told = till.run(path, *more).fault()
        assert "web, mobile, email" in told
        assert "got 'spaceship'" in told
    till.mapping.write_text(till.mapping.read_text().replace('channel = "pos"', 'channel = "poss"'))
    assert "did you mean pos?" in till.run(path).fault()
    made = simorgh("sources", "create", "kiosk", "--channel", "kiosk", "--new-channel", "--data", till.server.data)
    assert made.code == 0
    assert till.run(path, "--channel", "kiosk").code == 0


def test_excel_is_read_without_anything_more_to_install(till: Till) -> None:
    book = openpyxl.Workbook()
    for values in (HEADER.split(","), row(1).split(","), row(2).split(",")):
        book.active.append(values)
    path = till.folder / "till.xlsx"
    book.save(path)
    assert counts(till.run(path, "--json")) == (2, 2, 0)
    path.write_bytes(path.read_bytes()[:-200])
    assert "wanted an Excel workbook, got another" in till.run(path).fault()
    (till.folder / "t.parquet").write_bytes(b"PAR1 no")
    assert "wanted a Parquet file" in till.run(till.folder / "t.parquet").fault()


def test_a_folder_is_made_only_where_that_is_asked_for(till: Till) -> None:
    path = till.file([row(n) for n in range(1, 11)])
    words = ["import", str(path), "--mapping", str(till.mapping), "--json", "--data", str(till.folder / "new")]
    with nothing_made(till.folder):
        assert "simorgh serve" in simorgh(*words).fault()
    for more, new in ((["--create"], 10), ([], 0)):  # its engine is opened here: in a process of its own
        assert f'"new": {new}, "already_here": {10 - new}' in program(*words, *more).answer()


CONTACTS = (
    "شناسه مشتری;نام;موبایل;ایمیل;شهر\n۷;سارا;۰۹۱۲۳۴۵۶۷۸۹;sara.k@example.com;شیراز\n8;رضا;0912;reza.k@example.com;\n"
)


def test_people_by_a_guessed_mapping_become_profiles(till: Till, world: tuple[Server, Client]) -> None:
    _, client = world
    path = till.folder / "contacts.csv"
    path.write_text(CONTACTS, encoding="utf-8")
    guess = simorgh("import", path, "--guess")
    assert guess.code == 0
    till.mapping.write_text(guess.out.replace('name = "contacts"', f'name = "{till.folder.name}"'))
    dry = till.run(path, "--dry-run")
    assert "2 rows would become 2 events" in dry.out
    assert "not_a_phone" in dry.out
    assert counts(till.run(path, "--json")) == (2, 2, 0)
    assert counts(till.run(path, "--json")) == (2, 0, 2)
    client.settled()
    shown = simorgh("profiles", "show", "phone:+989123456789", "--json", "--data", till.server.data).json()
    assert shown["traits"]["city"] == "شیراز"
    assert {one["type"] for one in shown["identities"]} == {"email", "phone", "user_id"}


def test_a_source_s_settings_hold_for_its_files(till: Till, world: tuple[Server, Client]) -> None:
    _, client = world
    where = ("--data", till.server.data)
    assert simorgh("sources", "create", "tehran-till", "--channel", "pos", *where).code == 0
    settings = ("currency=IRT", "region=IR", "time_zone=Asia/Tehran", "book=tehran")
    assert simorgh("sources", "update", "tehran-till", *settings, *where).code == 0
    till.mapping.write_text(
        """
name = "tehran"
channel = "pos"
source = "tehran-till"
document = {column = "no"}
time = {column = "when"}
identifiers = [{column = "mobile", type = "phone"}]
line = {sku = "item", quantity = "n", price = "each"}
"""
    )
    path = till.file(["1,1405/09/01 10:00,09121112233,tea,2,50000"], header="no,when,mobile,item,n,each")
    assert counts(till.run(path, "--json")) == (1, 1, 0)
    assert counts(till.run(path, "--json")) == (1, 0, 1)
    client.settled()
    shown = simorgh("profiles", "show", "phone:+989121112233", "--include", "metrics,events", "--json", *where).json()
    assert shown["metrics"]["revenue"] == {"IRR": 1_000_000}
    [event] = shown["events"]["items"]
    assert (event["source"], event["time"]) == ("tehran-till", "2026-11-22T06:30:00.000Z")
    assert "got an unknown id" in till.run(path, "--source", "nobody").fault()


@pytest.mark.soak
def test_a_killed_import_goes_on_where_it_stopped(till: Till, world: tuple[Server, Client]) -> None:
    rows = 40_000
    path = till.file([row(n) for n in range(1, rows + 1)])
    words = ("import", path, "--mapping", till.mapping, "--data", till.server.data, "--json")
    counts = till.server.data / "imports"
    sent = [0]
    before = world[1].settled()["events"]["unique"]
    for end in (signal.SIGINT, signal.SIGKILL):
        with started(*words) as importing:
            while not (now := _sent(counts)) or now <= sent[-1]:
                assert importing.poll() is None, "it ended before it was stopped: give it more rows"
                time.sleep(0.02)
            importing.send_signal(end)
            assert importing.wait(60) != 0
        sent.append(_sent(counts))
    report = till.run(path, "--json").json()
    assert 0 < sent[1] < sent[2] == report["sent_before_interruption"]
    assert report["events"] == rows - sent[2]
    assert _sent(counts) == 0
    assert world[1].settled()["events"]["unique"] == before + rows


def _sent(counts: Path) -> int:
    """What the only unfinished import has sent."""
    for path in counts.glob("*.json"):
        return int(json.loads(path.read_bytes())["sent"])
    return 0
