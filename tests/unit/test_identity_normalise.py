from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.nodes import from_hex, node_of, parse_profile_id, profile_id, to_hex
from identity.normalise import normalise
from schemas.errors import InvalidIdentifier

TYPES = ("email", "phone", "user_id", "anonymous_id", "device_id", "loyalty_card", "crm_key")


@pytest.mark.parametrize(
    ("type", "value", "expected"),
    [
        ("email", "  Sara.A+shop@Example.COM ", "sara.a+shop@example.com"),
        ("email", "ｓａｒａ@example.com", "sara@example.com"),
        ("email", "\u200fsara@example.com\ufeff", "sara@example.com"),
        ("email", "groß@example.com", "groß@example.com"),
        ("email", "sara@مثال.ایران", "sara@مثال.ایران"),
        ("phone", "+98 (912) 345-6789", "+989123456789"),
        ("phone", "۰۰۹۸ ۹۱۲ ۳۴۵ ۶۷۸۹", "+989123456789"),
        ("phone", "+٩٨٩١٢٣٤٥٦٧٨٩", "+989123456789"),
        ("phone", "+1 555 123 4567", "+15551234567"),
        ("user_id", "  U42 ", "U42"),
        ("user_id", 42, "42"),
        ("user_id", "۴۲", "42"),
        ("user_id", "e\u0301", "\u00e9"),
        ("loyalty_card", " ۱۲۳۴-5678 9012 ", "123456789012"),
        ("crm_key", " K 1 ", "K 1"),
        ("crm_key", -7, "-7"),
    ],
)
def test_one_spelling(type: str, value: object, expected: str) -> None:
    assert normalise(type, value) == expected


@pytest.mark.parametrize("value", ["0912 345 6789", "۰۹۱۲۳۴۵۶۷۸۹", 989123456789, "+989123456789", "00989123456789"])
def test_phones_with_a_region(value: object) -> None:
    assert normalise("phone", value, region="IR") == "+989123456789"


NO_VALUES: tuple[Any, ...] = ("", "  ", "\u200b", True, 1.5, None, [], {}, "a\x00b", "a\nb")
REFUSED: list[tuple[str, Any]] = [
    *[(type, value) for type in TYPES for value in NO_VALUES],
    *[(type, "x" * 501) for type in TYPES],
    *[("user_id", value) for value in ("\ud800", 10**400, "\x7f")],
    *[("email", value) for value in ("sara", "@b.c", "a@b", "a@@b.c", "a b@c.d", "a@b..c", "a@-b.c", "<a@b.c>")],
    *[("email", value) for value in ("a@b.c, d@e.f", "x" * 65 + "@b.c", "a@" + "b" * 253 + ".c")],
    *[("phone", value) for value in ("12", "09123456789", "abc", "+98912345678901234", "+1 650 253 0000 ext. 12")],
    ("loyalty_card", " - - "),
    *[(type, "x") for type in ("", "User", "userId", "1a", "a-b", "a" * 64, "a\n", "é", "*")],
]


@pytest.mark.parametrize(("type", "value"), REFUSED)
def test_refused(type: str, value: Any) -> None:
    with pytest.raises(InvalidIdentifier) as fault:
        normalise(type, value)
    if isinstance(value, str) and len(value.strip()) > 3:
        assert value.strip() not in fault.value.message


@given(st.sampled_from(TYPES), st.one_of(st.text(max_size=40), st.integers(), st.emails()))
def test_normalising_twice_changes_nothing(type: str, value: str | int) -> None:
    try:
        once = normalise(type, value)
    except InvalidIdentifier:
        return
    assert normalise(type, once) == once
    assert 0 < len(once) <= 500
    assert once.encode()


def test_a_node_depends_on_secret_workspace_type_and_value() -> None:
    parts = (b"secret", "shop", "user_id", "u1")
    others = [
        (b"other", *parts[1:]),
        (parts[0], "s", *parts[2:]),
        (*parts[:2], "email", "u1"),
        (*parts[:3], "u2"),
    ]
    nodes = {node_of(*other) for other in [parts, *others]}
    assert len(nodes) == 5
    assert node_of(b"secret", "shop", "user_id", "u1") == 0x9079DBBF2446CAA87280816DB8BEA6F7  # forever


@given(st.integers(min_value=0, max_value=2**128 - 1))
def test_nodes_and_profile_ids_as_text(node: int) -> None:
    assert len(to_hex(node)) == 32
    assert from_hex(to_hex(node)) == node
    assert parse_profile_id(profile_id(node)) == node


@pytest.mark.parametrize(
    "text",
    ["", "prf_", "prf_" + "0" * 31, "prf_" + "0" * 33, "prf_" + "G" * 32, "0" * 32, "prf_0x" + "0" * 30],
)
def test_what_is_no_profile_id(text: str) -> None:
    with pytest.raises(InvalidIdentifier):
        parse_profile_id(text)


@pytest.mark.parametrize("text", ["", "0" * 31, "0" * 33, "_" * 32, "0" * 32 + "\n", "+" + "0" * 31])
def test_what_is_no_node(text: str) -> None:
    with pytest.raises(InvalidIdentifier):
        from_hex(text)
