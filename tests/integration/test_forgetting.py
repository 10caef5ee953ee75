"""Rejected events that hold a text are found, however the text is written, and others are not."""

import json
from collections.abc import Iterator

import pytest

from warehouse import forgetting
from warehouse.client import Warehouse, Writer

TEXTS = (
    "Sara.O'Neil+x@example.com",
    "مریم رضایی",
    "MÜLLER",
    "a(b)*c[d]^$|{e}?",
    "back\\slash",
    'say "it"',
    "https://shop.example/u/7",
    "tab\there",
    "x" * 300,
    "ﬁ-ligature",
)


@pytest.fixture
def writer(chdb_dsn: str) -> Iterator[Writer]:
    warehouse = Warehouse(chdb_dsn, "forgetting")
    warehouse.migrate(1)
    yield warehouse.writer(1)
    warehouse.drop(1)
    warehouse.close()


def keep(writer: Writer, payloads: dict[str, str]) -> None:
    bound = {"ids": list(payloads), "numbers": list(range(len(payloads))), "payloads": list(payloads.values())}
    rows = "arrayZip({ids:Array(String)}, {numbers:Array(UInt64)}, {payloads:Array(String)})"
    of_each = f"SELECT 's', a.1, a.2, a.3 FROM (SELECT arrayJoin({rows}) AS a)"
    writer.command(f"INSERT INTO rejected (source, id, digest, payload) {of_each}", bound)


def found(writer: Writer, *texts: str) -> list[str]:
    return [id for _, id, _ in forgetting.rejected_of(writer, texts)]


def test_a_text_is_found_as_it_stands_and_as_json_writes_it(writer: Writer) -> None:
    kept: dict[str, str] = {"other": json.dumps({"userId": "somebody else", "n": ["abc", "muller"]})}
    for n, text in enumerate(TEXTS):
        body = {"traits": {"name": f"<{text}>"}}
        kept[f"{n}-plain"] = f"not JSON: {text}"
        kept[f"{n}-ascii"] = json.dumps(body)
        kept[f"{n}-utf8"] = json.dumps(body, ensure_ascii=False)
        kept[f"{n}-php"] = json.dumps(body).replace("/", "\\/")
        kept[f"{n}-case"] = json.dumps(body, ensure_ascii=False).swapcase()
    keep(writer, kept)
    for n, text in enumerate(TEXTS):
        wanted = {id for id in kept if id.startswith(f"{n}-")}
        if text == "ﬁ-ligature":
            wanted.discard(f"{n}-case")  # in capitals it is two letters
        assert set(found(writer, text)) == wanted, text
    many = [f"nobody-{n}@example.com" for n in range(600)]
    assert set(found(writer, *many, TEXTS[0])) == {id for id in kept if id.startswith("0-")}
    assert found(writer) == []
