"""People, accounts, leads and events: what a row becomes, and what is left out of it."""

from pathlib import Path
from typing import Any

import pytest

from producers.files.events import REFUSED, Event
from producers.files.importer import read_events
from producers.files.mapping import parse_mapping
from producers.files.report import Report
from schemas.errors import InvalidInput

PEOPLE: dict[str, Any] = {
    "kind": "people",
    "name": "contacts",
    "channel": "server",
    "region": "IR",
    "identifiers": [{"column": "mail", "type": "email"}, {"column": "mobile", "type": "phone"}],
    "traits": {
        "city": "town",
        "phone": {"column": "mobile", "read": "phone"},
        "birthday": {"column": "born", "read": "date"},
    },
}
HEADER = "mail,mobile,town,born\n"


def read(path: Path, text: str, mapping: dict[str, Any]) -> tuple[list[Event], Report]:
    path.write_text(text, encoding="utf-8")
    report = Report()
    return list(read_events(path, parse_mapping(mapping), report)), report


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    return tmp_path / "contacts.csv"


def test_a_person(csv: Path) -> None:
    [event], report = read(csv, HEADER + "sara@example.com,۰۹۱۲۳۴۵۶۷۸۹,تهران,۱۳۶۹/۰۵/۱۲\n", PEOPLE)
    assert event | {"id": ""} == {
        "specversion": "1.0",
        "id": "",
        "source": "/files/server/contacts",
        "type": "profile.identified",
        "channel": "server",
        "data": {
            "identifiers": [
                {"type": "email", "value": "sara@example.com"},
                {"type": "phone", "value": "+989123456789"},
            ],
            "properties": {},
            "traits": {"city": "تهران", "phone": "+989123456789", "birthday": "1990-08-03"},
        },
    }
    assert {reason: found.count for reason, found in report.repaired.items()} == {
        "phone_written_internationally": 1,
        "jalali_date_converted": 1,
    }


def test_a_bad_cell_costs_the_cell_and_a_row_of_nobody_is_refused(csv: Path) -> None:
    rows = ["a@example.com,0912,Bonn,1369/13/01", ",,Kiel,", "nobody,,Ulm,", ",9.12E+09,Ulm,", "#N/A,09123456789,,"]
    events, report = read(csv, HEADER + "\n".join(rows), PEOPLE)
    people = [event for event in events if event["type"] != REFUSED]
    assert [event["data"]["traits"] for event in people] == [{"city": "Bonn"}, {"phone": "+989123456789"}]
    assert [str(place) for found in report.left_out.values() for place in found.places] == [
        "row 2, mobile",
        "row 2, born",
    ]
    assert {reason: [str(place) for place in found.places] for reason, found in report.rejected.items()} == {
        "no_identifier": ["row 3"],
        "not_an_identifier": ["row 4, mail"],
        "digits_lost": ["row 5, mobile"],
    }
    assert report.unusable == 3
    refused = [event for event in events if event["type"] == REFUSED]
    assert refused[0]["data"]["rows"] == [{"row": 3, "cells": {"mail": "", "mobile": "", "town": "Kiel", "born": ""}}]
    told = report.as_json()["left_out"]["not_a_phone"]
    assert told["first"] == [{"row": 2, "line": 2, "column": "mobile"}]
    assert "its country" in told["remedy"]


def test_the_same_row_is_a_copy_and_a_changed_one_is_new(csv: Path) -> None:
    row = "a@example.com,,{0},\n"
    first, _ = read(csv, HEADER + row.format("Bonn") + row.format("Bonn"), PEOPLE)
    again, _ = read(csv, HEADER + row.format("Kiel") + row.format("Bonn"), PEOPLE)
    assert first[0]["id"] == first[1]["id"] == again[1]["id"] != again[0]["id"]
    with_id = PEOPLE | {"id": "mail"}
    [one], _ = read(csv, HEADER + row.format("Bonn"), with_id)
    [two], _ = read(csv, HEADER + row.format("Kiel"), with_id)
    assert one["id"].startswith("a@example.com/")
    assert one["id"] != two["id"]


def test_the_line_of_a_row_behind_a_cell_of_several_lines(csv: Path) -> None:
    _, report = read(csv, HEADER + 'a@example.com,,"two\nlines",\nb@example.com,,x,soon\n', PEOPLE)
    assert report.as_json()["left_out"]["not_a_time"]["first"] == [{"row": 3, "line": 4, "column": "born"}]


def test_a_person_s_company_is_an_account(csv: Path) -> None:
    events, _ = read(csv, "mail,mobile,town,born,firm\na@example.com,,,,Attar\n", PEOPLE | {"account": "firm"})
    assert [event["type"] for event in events] == ["profile.identified", "group.joined"]
    assert events[1]["data"]["properties"] == {"group_id": "Attar"}
    assert events[1]["id"] == f"{events[0]['id']}/account"


def test_a_person_s_place_in_the_company(csv: Path) -> None:
    place = {"account": "firm", "role": "job", "reports_to": "boss"}
    rows = "a@example.com,,,,Attar,{0},b@example.com\n"
    header = "mail,mobile,town,born,firm,job,boss\n"
    [_, joined], _ = read(csv, header + rows.format("buyer"), PEOPLE | place)
    assert joined["data"]["properties"] == {"group_id": "Attar", "role": "buyer", "reports_to": "b@example.com"}
    [_, moved], _ = read(csv, header + rows.format("director"), PEOPLE | place)
    assert moved["id"] != joined["id"]


def test_a_branch_and_an_event_of_an_account(csv: Path) -> None:
    mapping = {"kind": "accounts", "name": "firms", "channel": "server", "account": "id", "parent": "of"}
    events, _ = read(csv, "id,of\n7,1\n1,\n", mapping)
    told = [event["data"]["properties"] for event in events]
    assert told == [{"group_id": "7", "parent_id": "1", "traits": {}}, {"group_id": "1", "traits": {}}]
    happened = {"kind": "events", "name": "calls", "channel": "phone", "account": "id", "type": "call.ended"}
    [event], _ = read(csv, "id\n7\n", happened)
    assert event["data"]["identifiers"] == [{"type": "account", "value": "7"}]
    for wrong in ({**happened, "role": "job"}, {**PEOPLE, "parent": "of"}):
        with pytest.raises(InvalidInput, match="leave"):
            parse_mapping(wrong)


def test_an_account(csv: Path) -> None:
    mapping = {
        "kind": "accounts", "name": "firms", "channel": "server", "account": "id",
        "traits": {"name": "firm", "employees": {"column": "heads", "read": "number"}},
    }  # fmt: skip
    [event, refused], report = read(csv, "id,firm,heads\n7,Attar,۱٬۲۰۰\n,Nobody,1\n", mapping)
    assert event["type"] == "group.joined"
    assert event["data"] == {
        "identifiers": [],
        "properties": {"group_id": "7", "traits": {"name": "Attar", "employees": 1200}},
    }
    assert refused["type"] == REFUSED
    assert report.rejected["missing_account"].first == ["row 3"]


def test_a_lead(csv: Path) -> None:
    mapping = {
        "kind": "leads", "name": "leads", "channel": "server", "id": "no",
        "time": {"column": "at", "zone": "Asia/Tehran"},
        "identifiers": [{"column": "mail", "type": "email"}], "properties": {"source": "from"},
    }  # fmt: skip
    [event, *_], report = read(csv, "no,at,mail,from\n5,1405/09/07,a@example.com,fair\n6,,b@example.com,\n", mapping)
    assert (event["id"], event["type"], event["time"]) == ("5", "lead.created", "2026-11-27T20:30:00.000Z")
    assert event["data"]["properties"] == {"lead_id": "5", "source": "fair"}
    assert report.rejected["time_missing"].first == ["row 3"]


def test_events_of_any_type(csv: Path) -> None:
    mapping = {
        "kind": "events", "name": "calls", "channel": "phone", "id": "no", "type_column": "what",
        "time": {"column": "at"}, "identifiers": [{"column": "who", "type": "user_id"}],
        "properties": {"seconds": {"column": "s", "read": "number"}},
    }  # fmt: skip
    text = "no,what,at,who,s\n1,call.ended,2024-07-01,u1,60\n2,,2024-07-01,u1,1\n3,call.ended,2024-07-01,,many\n"
    events, report = read(csv, text, mapping)
    assert [event["type"] for event in events] == ["call.ended", REFUSED, "call.ended"]
    assert events[0]["data"]["properties"] == {"seconds": 60}
    assert events[2]["data"]["identifiers"] == []
    assert (report.rejected["missing_type"].first, report.left_out["not_a_number"].first) == (["row 3"], ["row 4"])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"kind": "cats"}, "kind: wanted one of orders, people, accounts, leads, events"),
        ({"identifiers": []}, "people need [[identifiers]]"),
        ({"type": "x"}, "people have their own type"),
        ({"kind": "accounts"}, "accounts need account"),
        ({"kind": "events"}, "events need type"),
        ({"region": "XX"}, "region: is no country"),
        ({"traits": {"a": {"column": "a", "read": "colour"}}}, "traits.a.read"),
        ({"format": {"separator": "("}}, "format.separator: is no regular expression"),
        ({"format": {"separator": "x*"}}, "also matches nothing"),
        ({"format": {"separator": "x", "delimiter": ";"}}, "wanted delimiter or separator"),
    ],
)
def test_a_faulty_mapping_says_what_is_wrong(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_mapping(PEOPLE | changes)
    assert says in caught.value.message
