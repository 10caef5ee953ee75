"""The warehouse on a server: what holds there as it does in process, and what can only go wrong there."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from schemas.errors import Backpressure, Broken, InvalidInput
from tests.clickhouse.process import BridgeProcess
from warehouse.client import Warehouse, Writer, fixed16, fixed32
from warehouse.connect import address

USER, READER = "writer:s3cret%?", "reader:r3ad"
BIG = 2**127 + 12345


def quoted(user: str) -> str:
    return user.replace("%", "%25").replace("?", "%3F")


@pytest.fixture
def server(server_dsn: str) -> Iterator[Warehouse]:
    made = Warehouse(server_dsn, "server")
    made.migrate(1)
    yield made
    made.drop(1)
    made.close()


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BridgeProcess]:
    """A server that may be killed: with users, far from UTC."""
    environment = os.environ | {"TZ": "Asia/Tehran"}
    made = BridgeProcess(tmp_path_factory.mktemp("own"), user=USER, reader=READER, environment=environment)
    yield made
    made.stop()


@pytest.fixture
def killable(own: BridgeProcess) -> Iterator[Warehouse]:
    made = Warehouse(own.url.replace("//", f"//{quoted(USER)}@"), "own")
    made.migrate(1)
    yield made
    made.drop(1)
    made.close()


def log_rows(offsets: range, part: int = 0) -> pa.Table:
    n = len(offsets)
    return pa.table(
        {
            "part": pa.array([part] * n, pa.uint16()),
            "off": pa.array(offsets, pa.uint64()),
            "gen": pa.array([1] * n, pa.uint32()),
            "dup": pa.array([0] * n, pa.uint8()),
        }
    )


def count(writer: Writer) -> int:
    [(n,)] = writer.rows("SELECT count() FROM log_rows")
    return int(n)


# Reading


def test_a_reader_can_only_read(server: Warehouse, tmp_path: Path) -> None:
    reader, secret = server.reader(lambda: 1), tmp_path / "secret"
    secret.write_text("x")
    for statement in (
        "INSERT INTO log_rows VALUES (1, 1, 1, 1)",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP TABLE log_rows",
        f"SELECT * FROM file('{secret}', 'LineAsString')",
        "SELECT * FROM url('http://127.0.0.1:1', 'LineAsString')",
        f"SELECT 1 INTO OUTFILE '{tmp_path / 'out'}'",
        "SELECT 1 SETTINGS max_execution_time = 0",
        "SELECT 1 SETTINGS readonly = 0",
        "SET readonly = 0",
        "CREATE TABLE x (a UInt8) ENGINE = Memory",
        "TRUNCATE TABLE log_rows",
        "DROP TABLE log_rows",
    ):
        with pytest.raises(Broken):
            reader.rows(statement)
        assert reader.rows("SELECT getSetting('readonly') AS r, getSetting('final') AS f") == [{"r": 1, "f": True}]


def test_limits_are_the_callers_to_mend(server: Warehouse) -> None:
    with pytest.raises(InvalidInput) as caught:
        server.reader(lambda: 1).rows("SELECT number FROM numbers(3000000)")
    assert caught.value.code == "query_too_large"


def test_a_callers_value_is_in_no_message(server: Warehouse) -> None:
    with pytest.raises(Broken) as caught:
        server.reader(lambda: 1).rows("SELECT toUInt8({v:String})", {"v": "sara@example.com (TIMEOUT_EXCEEDED)"})
    assert caught.value.message == "warehouse: wanted an answer of the engine, got code 6; report this"


def test_long_lists_of_numbers(server: Warehouse, chdb_dsn: str) -> None:
    """A server takes no parameter over 128 KiB; a batch asks for thousands of ids."""
    embedded = Warehouse(chdb_dsn, "lists")
    embedded.migrate(1)
    ids = [BIG + n for n in range(20_000)]
    sql = "SELECT sum(x), length({ids:Array(UInt128)}) FROM (SELECT arrayJoin({ids:Array(UInt128)}) AS x)"
    for warehouse in (server, embedded):
        assert warehouse.writer(1).rows(sql, {"ids": ids}) == [(sum(ids) % 2**128, 20_000)]
        assert len(warehouse.writer(1).arrow("SELECT arrayJoin({ids:Array(UInt128)})", {"ids": ids})) == 20_000
        assert warehouse.reader(lambda: 1).rows("SELECT {ids:Array(UInt128)}[2] AS x", {"ids": ids}) == [{"x": BIG + 1}]
    embedded.drop(1)
    embedded.close()


def test_threads_share_a_handle(server: Warehouse) -> None:
    reader, writer = server.reader(lambda: 1), server.writer(1)

    def work(n: int) -> bool:
        writer.insert("log_rows", log_rows(range(10), n))
        read = [reader.rows("SELECT count() AS n, {v:UInt64} AS v FROM log_rows WHERE part = {v:UInt64}", {"v": n})]
        return read == [[{"n": 10, "v": n}]]

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(work, range(64)))


# Types


def profile_row() -> pa.Table:
    moment = pa.timestamp("ms", "UTC")
    texts, numbers, money = pa.list_(pa.string()), pa.uint64(), pa.map_(pa.string(), pa.decimal128(38, 6))
    when = 1_767_225_600_123
    return pa.table(
        {
            "profile": fixed16([BIG]),
            "ver": pa.array([2**63 + 1], numbers),
            "live": pa.array([1], pa.uint8()),
            "traits": ['{"name":"سارا"}'],
            "provenance": ["{}"],
            "consent": ["{}"],
            "identities.type": pa.array([["email", "user_id"]], texts),
            "identities.value": pa.array([["a@b.c", "u'1\\"]], texts),
            "identities.first_seen": pa.array([[when, when]], pa.list_(moment)),
            "identities.last_seen": pa.array([[when, when + 1]], pa.list_(moment)),
            "counts": pa.array([[("order.completed", 3)]], pa.map_(pa.string(), numbers)),
            "events": pa.array([3], numbers),
            "orders": pa.array([3], numbers),
            "orders_placed": pa.array([3], numbers),
            "revenue": pa.array([[("EUR", Decimal("12345678901234567890123456789012.000001"))]], money),
            "refunds": pa.array([[]], money),
            "first_seen": pa.array([when], moment),
            "last_seen": pa.array([when], moment),
            "name": ["سارا"],
            "email": [""],
            "segments": pa.array([["a", "b"]], texts),
            "due": pa.array([10_390_000_000_000], moment),
        }
    )


def test_types_are_those_of_the_embedded_engine(killable: Warehouse, chdb_dsn: str) -> None:
    """Whatever the server's time zone is."""
    embedded = Warehouse(chdb_dsn, "types")
    embedded.migrate(1)
    found: list[dict[str, Any]] = []
    for warehouse in (embedded, killable):
        writer = warehouse.writer(1)
        writer.insert("profile_rows", profile_row())
        trait = {"node": fixed16([BIG]), "kind": ["trait"], "name": ["gone"], "value": pa.array([None], pa.string())}
        other = {"ver": fixed32([BIG]), "source": ["shop"], "channel": ["web"]}
        writer.insert("traits", pa.table(trait | other))
        reader = warehouse.reader(lambda: 1)
        tables = [writer.arrow("SELECT * FROM profile_rows"), writer.arrow("SELECT * FROM traits")]
        found.append(
            {
                "rows": writer.rows("SELECT * FROM profile_rows") + writer.rows("SELECT * FROM traits"),
                "dicts": reader.rows("SELECT * FROM profiles"),
                "arrow": [(table.schema, table.to_pylist()) for table in tables],
                "bound": reader.rows(
                    "SELECT {n:UInt128} AS n, {d:DateTime64(3, 'UTC')} AS d, {m:Decimal(38, 6)} AS m, {s:String} AS s,"
                    " {a:Array(String)} AS a, {z:Nullable(String)} AS z",
                    {
                        "n": BIG,
                        "d": datetime(2026, 3, 21, 12, tzinfo=UTC),
                        "m": Decimal("1.000001"),
                        "s": "tab\t'quote' \\ new\nline {x:String}",
                        "a": ["'", "\\", "\t", "سارا"],
                        "z": None,
                    },
                ),
                "nothing": (writer.arrow("SELECT * FROM log_rows").to_pylist(), reader.rows("SELECT * FROM log_rows")),
            }
        )
    embedded.drop(1)
    embedded.close()
    assert found[0] == found[1]
    assert found[0]["dicts"][0]["profile"] == BIG


# Writing


def test_an_insert_is_one_part(server: Warehouse) -> None:
    pieces = [log_rows(range(n, n + 20_000)) for n in range(0, 200_000, 20_000)]
    server.writer(1).insert("log_rows", pa.concat_tables(pieces))
    sql = "SELECT rows, level FROM system.parts WHERE database = 'server_g1' AND table = 'log_rows' AND active"
    assert server.writer(1).rows(sql) == [(200_000, 0)]


def test_an_insert_whose_answer_is_lost_is_sent_once(server: Warehouse, bridge: BridgeProcess) -> None:
    writer = server.writer(1)
    before = count(writer) + bridge.asked()["inserts"]
    bridge.ill(lose_answers=1)
    with pytest.raises(Backpressure) as caught:
        writer.insert("log_rows", log_rows(range(3)))
    assert caught.value.code == "warehouse_unavailable"
    assert bridge.asked()["inserts"] == before + 1
    assert count(writer) == 3  # how it ended is found by reading
    writer.insert("log_rows", log_rows(range(3)))  # and writing it again does no harm
    assert count(writer) == 3


def test_rows_of_a_zombie_collapse_when_read(server: Warehouse) -> None:
    writer, reader = server.writer(1), server.reader(lambda: 1)
    ids = pa.table(
        {"key": fixed16([7, 7]), "part": pa.array([0, 1], pa.uint16()), "off": pa.array([5, 5], pa.uint64())}
    )
    for _ in range(2):
        writer.insert("ids", ids)
    assert writer.rows("SELECT key, part, off FROM ids ORDER BY part") == [(7, 0, 5), (7, 1, 5)]
    assert reader.rows("SELECT count() AS n FROM ids") == [{"n": 2}]
    later = log_rows(range(3)).set_column(2, "gen", pa.array([2, 2, 2], pa.uint32()))
    for rows in (later, log_rows(range(5))):  # the zombie's come last
        writer.insert("log_rows", rows)
    assert writer.rows("SELECT off, gen FROM log_rows ORDER BY off") == [(0, 2), (1, 2), (2, 2), (3, 1), (4, 1)]


# Away


def test_a_server_that_is_away(killable: Warehouse, own: BridgeProcess) -> None:
    writer, reader = killable.writer(1), killable.reader(lambda: 1)
    writer.insert("log_rows", log_rows(range(7)))
    own.kill()
    for call in (
        lambda: writer.insert("log_rows", log_rows(range(7, 9))),
        lambda: writer.rows("SELECT 1"),
        lambda: reader.rows("SELECT {v:String} AS v", {"v": "sara@example.com"}),
        lambda: killable.migrate(1),
        Warehouse(own.url.replace("//", f"//{quoted(USER)}@"), "new").version,
    ):
        with pytest.raises(Backpressure) as caught:
            call()
        assert caught.value.code == "warehouse_unavailable"
        assert "s3cret" not in repr(caught.value)
        assert caught.value.__suppress_context__
    own.start()
    assert count(writer) == 7
    own.ill(refuse=True)
    with pytest.raises(Backpressure):
        writer.insert("log_rows", log_rows(range(7, 9)))
    own.ill()
    assert count(writer) == 7


def test_users(own: BridgeProcess, killable: Warehouse) -> None:
    dsn, read_dsn = (own.url.replace("//", f"//{quoted(user)}@") for user in (USER, READER))
    killable.writer(1).insert("log_rows", log_rows(range(2)))
    both = Warehouse(dsn, "own", read_dsn=read_dsn)
    assert both.version()
    assert both.reader(lambda: 1).rows("SELECT count() AS n, currentUser() != '' AS u FROM log_rows") == [
        {"n": 2, "u": 1}
    ]
    swapped = Warehouse(read_dsn, "own")
    with pytest.raises(Broken, match="for the write user"):
        swapped.writer(1).insert("log_rows", log_rows(range(2)))
    stranger = Warehouse(own.url.replace("//", "//writer:wr0ng@"))
    with pytest.raises(Backpressure, match="AUTHENTICATION_FAILED") as caught:
        stranger.version()
    assert "wr0ng" not in repr(caught.value)
    for warehouse in (both, swapped, stranger):
        warehouse.close()


def test_https_is_never_spoken_in_the_clear(bridge: BridgeProcess) -> None:
    secure = Warehouse(bridge.url.replace("http://", "https://writer:s3cret@"))
    with pytest.raises(Backpressure):
        secure.version()
    assert secure.address == bridge.url.replace("http://", "https://")
    secure.close()


def test_an_address_has_no_secret() -> None:
    assert address("https://u:p%40@ch.example:8443?ca_cert=/x") == "https://ch.example:8443"
    assert address("http://ch.example") == "http://ch.example"
    assert address("chdb:///var/simorgh") == "chdb:///var/simorgh"


def settings_of(warehouse: Warehouse, names: tuple[str, ...]) -> dict[str, Any]:
    [row] = warehouse.reader(lambda: 1).rows(f"SELECT {', '.join(f'getSetting({n!r}) AS {n}' for n in names)}")
    return row


def test_a_cluster_has_settings_of_its_own(server_dsn: str, server: Warehouse) -> None:
    names = ("distributed_product_mode", "optimize_skip_unused_shards", "load_balancing")
    of_cluster = Warehouse(server_dsn, "server", cluster="all")
    assert settings_of(of_cluster, names) == dict(zip(names, ("global", True, "in_order"), strict=True))
    assert settings_of(server, names)["distributed_product_mode"] == "deny"
    of_cluster.close()
