from typing import Any

import pytest

from identity.rules import DEFAULT_RULES, JUNK, IdentityRules, Limit
from schemas.errors import InvalidRule


def test_defaults_and_ranks() -> None:
    types = ["zeta", "phone", "device_id", "email", "anonymous_id", "user_id", "mid_id", "phone2"]
    ranked = ["user_id", "email", "anonymous_id", "device_id", "mid_id", "phone", "phone2", "zeta"]
    assert sorted(types, key=DEFAULT_RULES.rank) == ranked
    assert (DEFAULT_RULES.rank("user_id"), DEFAULT_RULES.rank("email")) == (1, 2)
    assert (DEFAULT_RULES.limit("user_id"), DEFAULT_RULES.limit("anything")) == (Limit(max=1), Limit(max=5))
    assert (DEFAULT_RULES.shared_after, DEFAULT_RULES.max_nodes) == (10, 1000)


def test_json_and_back() -> None:
    assert IdentityRules.parse(DEFAULT_RULES.model_dump(mode="json")) == DEFAULT_RULES
    given = {"version": 3, "limits": {"email": {"max": 5, "within_days": 7}}, "blocked": {"email": ["x@.*"]}}
    rules = IdentityRules.parse(given)
    assert IdentityRules.parse(rules.model_dump(mode="json")) == rules


@pytest.mark.parametrize(
    "value", ["0", "000-00", "-1", "null", "NULL", "NaN", "undefined", "none", "anonymous", "Guest"]
)
def test_junk_of_every_type(value: str) -> None:
    assert DEFAULT_RULES.is_blocked("user_id", value)
    assert DEFAULT_RULES.is_blocked("some_custom_type", value)


@pytest.mark.parametrize("value", ["{{user.id}}", "[object Object]", "00000000-0000-0000-0000-000000000000"])
def test_junk_of_programs(value: str) -> None:
    assert DEFAULT_RULES.is_blocked("anonymous_id", value)


@pytest.mark.parametrize("value", ["u42", "10", "-12", "nullable", "anonymous-4f2c", "sara@example.com", "a\nnull"])
def test_no_junk(value: str) -> None:
    assert not DEFAULT_RULES.is_blocked("user_id", value)


def test_patterns_of_a_type_add_to_those_of_all() -> None:
    rules = IdentityRules(blocked={"*": JUNK, "email": ("noreply@.*",)})
    assert rules.is_blocked("email", "noreply@shop.example")
    assert rules.is_blocked("email", "null")
    assert not rules.is_blocked("user_id", "noreply@shop.example")
    assert not IdentityRules(blocked={}).is_blocked("user_id", "null")


def test_person_types_that_count() -> None:
    assert DEFAULT_RULES.counts_for("user_id") == ()
    assert DEFAULT_RULES.counts_for("phone") == ("user_id", "email")
    assert DEFAULT_RULES.counts_for("device_id") == ("user_id", "email", "phone", "loyalty_card")


@pytest.mark.parametrize(
    "data",
    [
        None,
        {"limits": {"user_id": {"max": 0}}},
        {"limits": {"User": {"max": 1}}},
        {"limits": {"*": {"max": 1}}},
        {"priorities": ["email", "email"]},
        {"persons": ["a b"]},
        {"blocked": {"*": ["(a"]}},
        {"blocked": {"*": ["a)|(b"]}},
        {"blocked": {"email": [r"(a)\1"]}},
        {"shared_after": 0},
        {"max_nodes": 1},
        {"colour": "red"},
    ],
)
def test_refused(data: Any) -> None:
    with pytest.raises(InvalidRule):
        IdentityRules.parse(data)
