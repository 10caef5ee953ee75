"""A published schema may not change or vanish, and a new version may not break the one before."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.check import HERE, LOCK, check_published, main, publish, read_lock, unpublished

Edit = Callable[[dict[str, Any]], object]

ORDER = "events/order.completed.v1.json"
ORDER_2 = "events/order.completed.v2.json"


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A copy of the schemas in which everything is published."""
    root = tmp_path / "schemas"
    shutil.copytree(HERE, root, ignore=shutil.ignore_patterns("*.py", "__pycache__", LOCK))
    publish(root)
    return root


def edit(root: Path, path: str, change: Edit, to: str | None = None) -> None:
    """Write the schema at `path`, changed, to `to` (to itself without one)."""
    schema = json.loads((root / path).read_text(encoding="utf-8"))
    change(schema)
    (root / (to or path)).write_text(json.dumps(schema), encoding="utf-8")


def test_the_schemas_of_this_repository_keep_what_was_published() -> None:
    assert check_published() == []
    assert unpublished() == [], "run python -m schemas.check --publish"


def test_check_prints_one_line_and_succeeds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main() == 0
    assert capsys.readouterr().out.endswith("published schemas unchanged, 0 not published yet\n")


def test_a_published_copy_has_no_problem(published: Path) -> None:
    assert check_published(published) == []
    assert unpublished(published) == []
    assert len(read_lock(published)) == 169


def test_a_new_line_ending_is_no_change(published: Path) -> None:
    text = (published / ORDER).read_bytes()
    (published / ORDER).write_bytes(text.replace(b"\n", b"\r\n"))
    assert check_published(published) == []


@pytest.mark.parametrize("path", [ORDER, "records/identity.v2.json", "envelope.v2.json"])
def test_a_changed_file_is_found_even_if_only_its_words_changed(published: Path, path: str) -> None:
    edit(published, path, lambda schema: schema.update(description="Other words."))
    (problem,) = check_published(published)
    assert (problem.path, problem.kind) == (path, "changed")


def test_the_problem_says_what_the_change_breaks(published: Path) -> None:
    edit(published, ORDER, lambda schema: schema["properties"]["revenue"].update(type="string"))
    (problem,) = check_published(published)
    assert str(problem) == (
        "events/order.completed.v1.json: published and changed "
        "(/properties/revenue no longer takes integer, null, number); restore it and add a new version"
    )


def test_a_removed_file_is_found(published: Path) -> None:
    (published / ORDER).unlink()
    (problem,) = check_published(published)
    assert (problem.path, problem.kind) == (ORDER, "removed")


def test_publishing_again_does_not_hide_a_change(published: Path) -> None:
    edit(published, ORDER, lambda schema: schema.update(description="Other words."))
    publish(published)
    assert [problem.kind for problem in check_published(published)] == ["changed"]


@pytest.mark.parametrize("content", ["{", '{"type": "nothing"}'])
def test_an_invalid_schema_is_found(published: Path, content: str) -> None:
    (published / ORDER_2).write_text(content)
    (problem,) = check_published(published)
    assert (problem.path, problem.kind) == (ORDER_2, "invalid")


def test_a_file_without_a_version_is_found(published: Path) -> None:
    (published / "events/order.completed.json").write_text("{}")
    (problem,) = check_published(published)
    assert (problem.path, problem.kind) == ("events/order.completed.json", "invalid")


def test_a_skipped_version_is_found(published: Path) -> None:
    edit(published, ORDER, lambda schema: None, to="events/order.completed.v3.json")
    (problem,) = check_published(published)
    assert (problem.path, problem.kind) == ("events/order.completed.v3.json", "gap")


BREAKS: list[tuple[str, Edit, str]] = [
    (
        "type narrowed",
        lambda s: s["properties"]["order_id"].update(type=["string", "null"]),
        "no longer takes",
    ),
    ("type changed", lambda s: s["properties"]["currency"].update(type="number"), "no longer takes"),
    ("null refused", lambda s: s["properties"]["currency"].update(type="string"), "no longer takes null"),
    (
        "integers only",
        lambda s: s["properties"]["tax"].update(type=["integer", "null"]),
        "no longer takes number",
    ),
    ("field required", lambda s: s.update(required=["order_id"]), "now requires order_id"),
    ("field dropped", lambda s: s["properties"].pop("order_id"), "is gone"),
    ("closed", lambda s: s.update(additionalProperties=False), "no longer takes fields"),
    ("enum added", lambda s: s["properties"]["currency"].update(enum=["EUR"]), "takes fewer values"),
    ("format added", lambda s: s["properties"]["coupon"].update(format="email"), "another format"),
    ("pattern added", lambda s: s["properties"]["coupon"].update(pattern="^x"), "another pattern"),
    ("higher minimum", lambda s: s["properties"]["tax"].update(minimum=0), "higher minimum"),
    ("lower maximum", lambda s: s["properties"]["tax"].update(exclusiveMaximum=10), "lower exclusiveMaximum"),
    ("fewer fields", lambda s: s.update(maxProperties=3), "lower maxProperties"),
    (
        "inside a list",
        lambda s: s["properties"]["products"]["items"]["properties"]["price"].update(type="string"),
        "/properties/products/items/properties/price no longer takes",
    ),
]


@pytest.mark.parametrize(("change", "words"), [case[1:] for case in BREAKS], ids=[case[0] for case in BREAKS])
def test_a_new_version_that_breaks_the_old_needs_an_upcaster(published: Path, change: Edit, words: str) -> None:
    edit(published, ORDER, change, to=ORDER_2)
    (problem, *more) = check_published(published)
    assert more == []
    assert (problem.path, problem.kind) == (ORDER_2, "breaks")
    assert words in problem.message
    lifted = {("product.viewed", 1), ("product.added", 1), ("product.removed", 1), ("order.completed", 1)}
    assert check_published(published, lifted) == []


def test_a_shrunk_enum_is_found(published: Path) -> None:
    edit(published, ORDER, lambda s: s["properties"]["currency"].update(enum=["EUR", "IRR", None]), to=ORDER_2)
    edit(
        published,
        ORDER,
        lambda s: s["properties"]["currency"].update(enum=["EUR"]),
        "events/order.completed.v3.json",
    )
    lifted = {("product.viewed", 1), ("product.added", 1), ("product.removed", 1), ("order.completed", 1)}
    (problem,) = check_published(published, lifted)
    assert problem.path == "events/order.completed.v3.json"
    assert "takes fewer values" in problem.message


def test_a_record_has_no_upcaster_and_may_not_break(published: Path) -> None:
    edit(
        published,
        "records/rejected.v1.json",
        lambda schema: schema["properties"].pop("reason"),
        to="records/rejected.v2.json",
    )
    (problem, *_) = check_published(published)
    assert problem.path == "records/rejected.v2.json"
    assert problem.kind == "breaks"


@pytest.mark.parametrize(
    "change",
    [
        lambda schema: schema.update(description="Other words."),
        lambda schema: schema["properties"].update(gift={"type": ["boolean", "null"]}),
        lambda schema: schema["properties"]["currency"].update(type=["string", "number", "null"]),
        lambda schema: schema["properties"]["tax"].pop("exclusiveMaximum"),
    ],
    ids=["words", "field added", "type widened", "range widened"],
)
def test_a_new_version_that_takes_more_is_fine(published: Path, change: Edit) -> None:
    edit(published, ORDER, change, to=ORDER_2)
    assert check_published(published) == []
    assert unpublished(published) == [ORDER_2]
    assert publish(published) == [ORDER_2]
    assert unpublished(published) == []
