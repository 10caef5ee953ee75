"""The law of segments: the live answer equals the SQL answer, whatever the rule, the history and the instant."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream_processors.segments.live import LiveRules
from stream_processors.segments.rule import parse_rule
from stream_processors.segments.sql import compile_sql
from tests.properties.segments_world import NOWS, RULE_SETS, World, live_facts, table_rows, worlds

TABLES = Path(__file__).parents[2] / "warehouse" / "tables.sql"
USED = ("identity", "members", "events", "traits", "identifiers")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    client = clickhouse_connect.get_client(dsn=f"chdb://{tmp_path_factory.mktemp('chdb')}")
    for statement in re.sub("--.*", "", TABLES.read_text()).split(";"):
        if any(f"CREATE TABLE {table} (" in statement for table in USED):
            client.command(statement)
    yield client
    client.close()


def load(engine: Any, world: World) -> None:
    for table, columns, rows in table_rows(world):
        engine.command(f"TRUNCATE TABLE {table}")
        if rows:
            engine.insert(table, rows, column_names=columns)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(world=worlds(), written=RULE_SETS, data=st.data())
def test_live_equals_sql(engine: Any, world: World, written: dict[str, Any], data: st.DataObject) -> None:
    rules = {segment: parse_rule(rule) for segment, rule in written.items()}
    live = LiveRules(rules)
    nows = sorted(data.draw(st.sets(st.sampled_from(NOWS), min_size=1, max_size=2)))
    order = data.draw(st.permutations(world.events))
    facts = live_facts(world, live, nows[0], order)
    load(engine, world)
    for now in nows:
        held = {profile: live.evaluate(one, now) for profile, one in facts.items()}
        for segment, rule in rules.items():
            query = compile_sql(rule, now, rules.__getitem__)
            found = {row[0] for row in engine.query(query.sql, parameters=query.parameters).result_rows}
            assert found == {profile for profile, segments in held.items() if segment in segments}, segment
