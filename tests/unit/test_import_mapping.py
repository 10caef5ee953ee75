"""A mapping is checked before the first row is read, and says all that is wrong at once."""

from pathlib import Path
from typing import Any

import pytest

from producers.files.mapping import kind_of, load_mapping, parse_mapping
from schemas.errors import InvalidInput

GOOD: dict[str, Any] = {
    "name": "till-7",
    "channel": "pos",
    "currency": "EUR",
    "document": {"column": "receipt"},
    "time": {"column": "when", "zone": "Asia/Tehran"},
    "identifiers": [{"column": "card", "type": "loyalty_card"}],
    "line": {"sku": "item", "quantity": "n", "price": "each"},
    "traits": {"city": "town"},
}


def faults(**changes: Any) -> str:
    with pytest.raises(InvalidInput) as caught:
        parse_mapping(GOOD | changes)
    assert caught.value.code == "invalid_mapping"
    return caught.value.message


def test_a_good_mapping_names_the_columns_to_read_each_once() -> None:
    mapping = parse_mapping(GOOD | {"traits": {"city": "town", "card": "card"}})
    assert mapping.columns() == ("receipt", "when", "item", "n", "each", "card", "town")


def test_all_faults_are_told_at_once() -> None:
    message = faults(currency="euro", time={"column": "when", "zone": "Mars/Olympus"}, shoe_size=43)
    assert "3 fault(s)" in message
    assert "currency: " in message
    assert "time.zone: is no time zone" in message
    assert "shoe_size: Extra inputs are not permitted" in message


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"document": {}}, "document: wanted column (the order's number)"),
        ({"line": {"sku": "item", "quantity": "n"}}, "[line] needs amount, or quantity and price"),
        ({"identifiers": []}, "[traits] needs [[identifiers]]"),
        ({"identifiers": [{"column": "card", "type": "Loyalty Card"}]}, "identifiers.0.type"),
        ({"format": {"encoding": "klingon"}}, "format.encoding: is no encoding"),
        ({"name": "Till 7"}, "name: "),
    ],
)
def test_a_fault_is_told_with_its_place(changes: dict[str, Any], told: str) -> None:
    assert told in faults(**changes)


def test_toml_and_json_are_read(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text('{"name": 1}')
    with pytest.raises(InvalidInput, match=r"m\.json: wanted a valid mapping, got 3 fault"):
        load_mapping(tmp_path / "m.json")
    (tmp_path / "m.toml").write_text("name = ")
    with pytest.raises(InvalidInput, match=r"m\.toml: wanted TOML"):
        load_mapping(tmp_path / "m.toml")
    with pytest.raises(InvalidInput, match="name a file that can be read"):
        load_mapping(tmp_path / "missing.toml")


def test_the_kind_comes_from_the_mapping_or_the_ending() -> None:
    assert kind_of(Path("a.CSV"), None) == "csv"
    assert kind_of(Path("a.dat"), "tsv") == "tsv"
    with pytest.raises(InvalidInput, match="wanted a known ending"):
        kind_of(Path("a.dat"), None)
