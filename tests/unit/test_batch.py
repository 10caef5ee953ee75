"""Envelopes as a batch, at the edges of what may be read: the many ways to be no envelope are in the poison test."""

import math
from decimal import Decimal

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eventlog.port import Record
from segments.values import micros
from stream_processors.parse import money
from stream_processors.parse.batch import parse

MOMENT = "2026-02-01T00:00:00.000Z"
WRITABLE = 240
"""Levels: an answer nests an event a little, and orjson writes 254."""


def envelope(properties: str) -> Record:
    must = {
        "key": "1" * 32,
        "id": "",
        "type": "",
        "time": MOMENT,
        "received_at": MOMENT,
        "place": 0,
        "source": "/sources/shop",
        "channel": "",
        "identifiers": [],
    }
    value = orjson.dumps(must)[:-1] + b',"properties":' + properties.encode() + b"}"
    return Record(0, 0, b"k", value, 0)


def nested(before: str, after: str, times: int) -> Record:
    return envelope('{"a":' + before * times + "1" + after * times + "}")


@pytest.mark.parametrize("run", range(1, 12))
@pytest.mark.parametrize("between", ["1,", '{"":', ""])
def test_what_is_read_can_be_written_in_an_answer(run: int, between: str) -> None:
    before, after = "[" * run + between, ("}" if "{" in between else "") + "]" * run
    readable = 0
    for times in range(1, 400):
        record = nested(before, after, times)
        if parse([record]).unreadable:
            break
        readable = times
        orjson.dumps({"events": [{"event": orjson.loads(record.value)}]})
    levels = run + ("{" in between)
    assert 100 < readable * levels + 2 <= WRITABLE


@pytest.mark.parametrize("number", ["1e400", "-1.5E+999", "[1,\n1e400]", "9" * 400, '"é",1e400'])
def test_a_number_out_of_range_makes_an_event_unreadable_and_no_other(number: str) -> None:
    bad = envelope(f'{{"a":[{number}]}}')
    batch = parse([envelope("{}"), bad, envelope('{"a":1e300,"b":"x: 1e400"}')])
    assert [record.value for record, _ in batch.unreadable] == [bad.value]
    assert len(batch) == 2


@pytest.mark.parametrize(
    "bad",
    [b'{"a":1e400}', b'{"a":' + b"9" * 400 + b"}", b'{"a":"\xff"}', b'{"a":' + b'{"":' * 210 + b"1" + b"}" * 211],
)
def test_a_bad_one_among_many_is_found_beside_the_decoding(bad: bytes) -> None:
    good = envelope('{"many":[' + ",".join(["{}"] * 400) + "]}")
    records = [good] * 1_000
    records[345] = envelope("{}")._replace(value=envelope("{}").value.replace(b":{}", b":" + bad))
    batch = parse(records)
    assert [record.value for record, _ in batch.unreadable] == [records[345].value]
    assert len(batch) == 999, "many brackets side by side are no deep nesting"


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e31, max_value=1e31))
@example(0.1 + 0.2)
@example(999_999_999.999999)
@example(1_000_000_000.000001)
@example(1e-7)
@example(-0.0)
def test_millionths_of_a_number_are_those_of_its_text(value: float) -> None:
    assert micros(value) == math.trunc(Decimal(repr(value)).scaleb(6))


@given(st.decimals(-(10**9), 10**9, places=6))
def test_millionths_of_a_price_are_exact(price: Decimal) -> None:
    assert micros(float(price)) == price.scaleb(6)


LARGEST = 10**38 - 1


@given(st.lists(st.integers(-(10**40), 10**40) | st.integers(-(2**63), 2**63 - 1) | st.integers(-9, 9)))
@example([2**63 - 1, -(2**63)])
@example([2**63])
def test_sums_of_any_size_are_decimals(values: list[int]) -> None:
    shown = [max(-LARGEST, min(value, LARGEST)) for value in values]
    assert [money.micros(found) for found in money.decimal_array(values).to_pylist()] == shown
