"""Keys: their form, their checksum, what is random in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.keys import is_well_formed, new_token, new_write_key, sha256_hex
from registry.scopes import ADMIN, ALL_SCOPES, READ, STEWARD, WRITE, Scope, allows


def test_keys_have_a_prefix_an_id_a_secret_and_a_checksum() -> None:
    prefix, kind, public_id, rest = new_write_key().split("_")
    assert (prefix, kind, len(public_id), len(rest)) == ("smg", "wk", 8, 38)
    assert new_token().startswith("smg_at_")


@given(st.binary(min_size=32, max_size=32))
def test_any_randomness_makes_a_well_formed_key(data: bytes) -> None:
    key = new_write_key(lambda size: data[:size])
    assert is_well_formed(key)
    assert key == new_write_key(lambda size: data[:size])


def test_keys_differ() -> None:
    assert len({new_token() for _ in range(200)}) == 200


@given(st.integers(7, 53), st.sampled_from("0aZ_-é"))
def test_a_typo_is_found(place: int, letter: str) -> None:
    key = new_write_key(lambda size: bytes(range(size)))
    typo = key[:place] + letter + key[place + 1 :]
    assert is_well_formed(typo) == (typo == key)


@pytest.mark.parametrize("key", ["", "smg_wk_", "secret", "smg_xx_00000000_" + "0" * 38, "a\x00b"])
def test_other_strings_are_not_well_formed(key: str) -> None:
    assert not is_well_formed(key)


def test_digests_are_sha256_of_utf8_and_take_any_string() -> None:
    assert sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert sha256_hex("\ud800") != sha256_hex("\ud801")


def test_scopes_stand_for_themselves_and_admin_for_all() -> None:
    scopes: list[Scope] = [READ, WRITE, STEWARD, ADMIN]
    for held in scopes:
        for wanted in scopes:
            assert allows({held}, wanted) == (held in (wanted, ADMIN))
    assert not any(allows(frozenset(), wanted) for wanted in ALL_SCOPES)
