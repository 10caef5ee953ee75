from typing import Any

import pytest

from identity.junk import JUNK
from identity.rules import DEFAULT_RULES, IdentityRules, Limit
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


@pytest.mark.parametrize(
    "word", ["null", "undefined", "none", "n/a", "unknown", "not set", "نامشخص", "ندارد", "未知", "id"]
)
@pytest.mark.parametrize(
    "dress", ['"{}"', "'{}'", "({})", "<{}>", "[{}]", "«{}»", "“{}”", "#{}!", "{}.", " {} ", "--{}--"]
)
def test_junk_in_any_dress(word: str, dress: str) -> None:
    assert DEFAULT_RULES.is_blocked("user_id", dress.format(word))
    assert DEFAULT_RULES.is_blocked("user_id", dress.format(word.upper()))


@pytest.mark.parametrize(
    "value",
    [
        *("#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#BEZUG!", "####", "(blank)", "\\N", "N.A.", "-", "...", "?", "xxx"),
        *("1.23457E+12", "1,23457E+12", "1e+15", "0.0", "0,00", "-0", "{00000000-0000-0000-0000-000000000000}", "0x0"),
        *("id", "email", "User ID", "customer-id", "e-mail", "phone number", "user_name", "تلفن"),
        *("test", "Test User", "guest user", "not logged in", "deleted", "no email", "yes", "false"),
        *("${user.id}", "%USER_ID%", "<%= id %>", "*|EMAIL|*", "__USER_ID__", "$user_id", "[EMAIL]"),
        *("[object Undefined]", "null,null", "هیچ\u200cکدام", "میهمان", "غير معروف", "لا يوجد", "неизвестно", "нет"),
    ],
)
def test_junk_by_kind(value: str) -> None:
    assert DEFAULT_RULES.is_blocked("user_id", value)


@pytest.mark.parametrize(
    "value",
    [
        *("1001", "536365", "7e10", "12e34", "1.5", "10.0.0.1", "o-1", "user-1", "test1", "U-0001", "a-1", "-5", "#7"),
        *("Idris", "emily", "nadia", "testify", "guestbook", "nobody2", "x", "سارا", "نام‌آور", "Nil Armstrong", "idA"),
        *("john.doe", "a/b", "50%", "ناشناس۱", "+989121234567", "sara@example.com"),
    ],
)
def test_names_and_numbers_are_no_junk(value: str) -> None:
    assert not DEFAULT_RULES.is_blocked("user_id", value)


@pytest.mark.parametrize(
    ("type", "value", "blocked"),
    [
        ("email", "null@example.com", True),
        ("email", "noemail@shop.example", True),
        ("email", "test@test.com", True),
        ("email", "anna@none.com", True),
        ("email", "nadia@example.com", False),
        ("email", "test@example.com", False),
        ("phone", "+980000000000", True),
        ("phone", "+989121234567", False),
    ],
)
def test_junk_of_a_type(type: str, value: str, blocked: bool) -> None:
    assert DEFAULT_RULES.is_blocked(type, value) == blocked


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
