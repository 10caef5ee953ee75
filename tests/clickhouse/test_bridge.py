"""The bridge itself: it refuses what a server refuses, and tells data from statements."""

import clickhouse_connect
import httpx
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from tests.clickhouse.process import BridgeProcess
from tests.clickhouse.statements import one_statement, parse_insert, writes_a_file, yields_rows


@pytest.mark.parametrize(
    ("statement", "single"),
    [
        (b"SELECT 1", True),
        (b"SELECT 1;", True),
        (b"SELECT 1; -- and a remark; here", True),
        (b"SELECT 1; /* ; */ \n", True),
        (b"SELECT ';', '\\';', ''';', \";\", `;`", True),
        (b"SELECT 1; SELECT 2", False),
        (b"SELECT 1;;DROP TABLE x", False),
        (b"SELECT 'it''s'; SELECT 2", False),
        (b"-- ;\nSELECT 1; SELECT 2", False),
    ],
)
def test_one_statement(statement: bytes, single: bool) -> None:
    assert one_statement(statement) is single


def test_an_insert_and_its_data() -> None:
    found = parse_insert(b"INSERT INTO `d`.`t` (`a`, `b.c`) FORMAT Native\n\x01;\x00FORMAT x")
    assert found
    assert (found.head, found.format, found.data) == (
        "INSERT INTO `d`.`t` (`a`, `b.c`)",
        "Native",
        b"\x01;\x00FORMAT x",
    )
    for statement in (b"INSERT INTO t SELECT 1", b"INSERT INTO t VALUES (1)", b"SELECT 1 FORMAT Native"):
        assert parse_insert(statement) is None


def test_files_and_formats() -> None:
    assert writes_a_file(b"SELECT 1 into\noutfile 'x'")
    assert not writes_a_file(b"SELECT 'INTO OUTFILE' -- INTO OUTFILE")
    assert yields_rows(b"/* x */ select 1\n FORMAT Native", "TSV") == "Native"
    assert yields_rows(b"(SELECT 1)", "TSV") == "TSV"
    assert yields_rows(b"DROP TABLE x", "TSV") is None


def test_plain_requests(bridge: BridgeProcess) -> None:
    with httpx.Client(base_url=bridge.url) as client:
        assert client.get("/ping").text == "Ok.\n"
        assert client.get("/", params={"query": "SELECT {a:UInt8} + 1", "param_a": "2"}).text == "3\n"
        assert client.post("/", content="SELECT 1 AS a FORMAT JSONEachRow").text == '{"a":1}\n'
        bad = client.post("/", content="SELECT nothing")
        assert (bad.status_code, bad.headers["x-clickhouse-exception-code"]) == (500, "47")
        written = client.get("/", params={"query": "CREATE TABLE x (a UInt8) ENGINE = Memory"})
        assert written.headers["x-clickhouse-exception-code"] == "164"  # GET only reads
        unknown = client.post("/", params={"no_such_setting": "1"}, content="SELECT 1")
        assert unknown.headers["x-clickhouse-exception-code"] == "115"


def test_settings_are_of_their_request(bridge: BridgeProcess) -> None:
    client = clickhouse_connect.get_client(dsn=bridge.url, session_id="s1")
    client.command("SET max_threads = 3")
    assert client.query("SELECT getSetting('max_threads')").result_rows == [(3,)]
    other = clickhouse_connect.get_client(dsn=bridge.url, autogenerate_session_id=False, settings={"max_threads": 5})
    assert other.query("SELECT getSetting('max_threads')").result_rows == [(5,)]
    assert other.query("SELECT getSetting('max_threads')", settings={"max_threads": 7}).result_rows == [(7,)]
    assert other.query("SELECT getSetting('max_threads')").result_rows == [(5,)]
    other.command("SET max_threads = 9")
    assert other.query("SELECT getSetting('max_threads')").result_rows == [(5,)]
    with pytest.raises(DatabaseError, match="READONLY"):
        other.command("CREATE TABLE x (a UInt8) ENGINE = Memory", settings={"readonly": 1})
    for one in (client, other):
        one.close()
