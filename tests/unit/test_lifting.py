"""Old versions are lifted where envelopes are read for the projections, and nowhere else."""

from typing import Any

import orjson
import pytest

from eventlog.port import Record
from schemas import upcasters
from stream_processors.parse.batch import parse
from tests.properties.pipeline_world import Box, MakeBox, make_door
from tests.unit.door_events import accepted, incoming


def record(**changes: Any) -> Record:
    verdict = make_door().admit(
        incoming(type="product.viewed", properties={"id": "p-1"}, dataschema="product.viewed/1"), b"{}"
    )
    envelope = {**orjson.loads(accepted(verdict)[1]), **changes}
    return Record(0, 7, b"key", orjson.dumps(envelope), 1)


def with_properties(text: str) -> Record:
    whole = record(properties={"here": 1}, context={"id": "kept", "n": 1.0})
    return whole._replace(value=whole.value.replace(b'{"here":1}', text.encode()))


def test_an_old_version_is_lifted_for_every_projection() -> None:
    old = record()
    batch = parse([old])
    assert batch.events[0].payload()["properties"] == {"product_id": "p-1"}
    [row] = batch.records
    stored = orjson.loads(row.value)
    assert (stored["dataschema"], stored["properties"]) == ("product.viewed/2", {"product_id": "p-1"})
    assert stored == {**orjson.loads(old.value), "dataschema": "product.viewed/2", "properties": {"product_id": "p-1"}}
    assert row._replace(value=old.value) == old


@pytest.mark.parametrize("dataschema", ["product.viewed/2", "order.completed/1", "custom", "", "unknown/1"])
def test_the_newest_stays_as_it_is_to_the_byte(dataschema: str) -> None:
    newest = record(dataschema=dataschema)
    assert parse([newest]).records[0] is newest


@pytest.mark.parametrize(
    ("properties", "lifted"),
    [
        (
            '{"id": 12345678901234567890123, "سفارش": "سارا", "z": -0.0}',
            '{"سفارش":"سارا","z":-0.0,"product_id":12345678901234567890123}',
        ),
        ('{"id": "a", "id": "b"}', '{"product_id":"b"}'),
        ('{"id": null, "product_id": "c"}', '{"product_id":"c"}'),
        ("{}", "{}"),
    ],
)
def test_values_are_moved_and_not_changed(properties: str, lifted: str) -> None:
    [row] = parse([with_properties(properties)]).records
    assert lifted.encode() in row.value
    assert b'"context":{"id":"kept","n":1.0}' in row.value


@pytest.mark.parametrize("properties", ["[]", "7", "null", '"x"'])
def test_what_is_no_object_is_unreadable_as_ever(properties: str) -> None:
    batch = parse([with_properties(properties), record()])
    assert (len(batch), len(batch.unreadable)) == (1, 1)


def test_an_upcaster_that_fails_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(properties: upcasters.Properties) -> upcasters.Properties:
        return {"gone": properties["gone"]}

    monkeypatch.setattr(upcasters, "UPCASTERS", {**upcasters.UPCASTERS, ("product.viewed", 1): fails})
    bad = record()
    batch = parse([bad, record(properties={"gone": 1})])
    assert [one for one, _ in batch.unreadable] == [bad]
    assert batch.events[0].payload()["properties"] == {"gone": 1}


def test_rules_find_old_and_new_alike(make_box: MakeBox) -> None:
    door = make_door()
    with make_box() as box:
        rule = {"event": "product.viewed", "distinct": {"gte": 2}, "of": "product_id"}
        box.declare("segment", "curious", {"rule": rule})
        views = [
            {"dataschema": "product.viewed/1", "properties": {"id": "a"}},
            {"dataschema": "product.viewed/2", "properties": {"product_id": "b"}},
        ]
        for number, view in enumerate(views):
            now = box.clock()
            box.append([door.admit(incoming(type="product.viewed", id=f"m{number}", received_at=now, **view), b"{}")])
            box.settle()
        both_ways_agree(box)
        box.replay()
        both_ways_agree(box)


def both_ways_agree(box: Box) -> None:
    assert box.told() == box.full()
    assert len(box.told()["curious"]) == 1
    shapes = {row[0] for row in box.writer.rows("SELECT JSONExtractString(payload, 'dataschema') FROM events")}
    assert shapes == {"product.viewed/2"}
