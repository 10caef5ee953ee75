"""Old events are lifted: every stored sample of every version to the newest, which takes it."""

import copy
import json
from pathlib import Path

import pytest

from schemas.catalog import EVENTS_FOLDER, Catalog, compiled, read_schemas
from schemas.upcasters import UPCASTERS, lift

SAMPLES = Path(__file__).parents[1] / "data" / "schemas"
CATALOG = Catalog.load()
SCHEMAS = read_schemas(EVENTS_FOLDER)
VERSIONS = [(schema["x-simorgh"]["type"], schema["x-simorgh"]["version"]) for schema in SCHEMAS.values()]
STORED = [
    (path.name, sample)
    for path in sorted(SAMPLES.glob("*.json"))
    for sample in json.loads(path.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize(("file", "sample"), STORED)
def test_stored_sample_is_valid_in_its_version_and_lifted_to_the_newest(file: str, sample: dict[str, object]) -> None:
    type, _, version = file.removesuffix(".json").rpartition(".v")
    assert compiled(SCHEMAS[file]).is_valid(sample)
    before = copy.deepcopy(sample)
    dataschema, lifted = lift(f"{type}/{version}", sample)
    assert sample == before
    assert dataschema == CATALOG.dataschema(type)
    assert CATALOG.check(type, lifted) is None


@pytest.mark.parametrize(("type", "version"), VERSIONS)
def test_every_version_has_a_way_to_the_newest(type: str, version: int) -> None:
    assert lift(f"{type}/{version}", {})[0] == CATALOG.dataschema(type)


@pytest.mark.parametrize(("type", "version"), UPCASTERS)
def test_every_lifted_version_and_its_next_have_stored_samples(type: str, version: int) -> None:
    files = {file for file, _ in STORED}
    assert {f"{type}.v{version}.json", f"{type}.v{version + 1}.json"} <= files


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"id": "p1", "sku": "s"}, {"sku": "s", "product_id": "p1"}),
        ({"id": "p1", "product_id": "p2"}, {"product_id": "p2"}),
        ({"id": "p1", "product_id": None}, {"product_id": "p1"}),
        ({"id": None}, {"product_id": None}),
        ({}, {}),
    ],
)
def test_product_id_was_called_id(old: dict[str, object], new: dict[str, object]) -> None:
    assert lift("product.viewed/1", old) == ("product.viewed/2", new)


@pytest.mark.parametrize("dataschema", ["custom", "order.completed/1", "product.viewed/2", "unknown/9", "x/y", ""])
def test_nothing_to_lift_gives_the_same_object(dataschema: str) -> None:
    properties: dict[str, object] = {"id": "p1"}
    assert lift(dataschema, properties) == (dataschema, properties)
    assert lift(dataschema, properties)[1] is properties
