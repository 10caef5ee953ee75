"""Write keys and tokens: how they are generated, and what is stored of them.

`smg_wk_<id>_<secret><check>`: a prefix that secret scanners find, a public id of 8 characters that names a key without
showing it, 32 characters of secret (190 bits) and a checksum of 6, all base62. Only the SHA-256 is stored, and a key is
looked up by it. A slow hash would add nothing, since nobody can try 2^190 secrets, and the time of a look-up depends on
a digest that the caller cannot control.
"""

import hashlib
import re
import secrets
from collections.abc import Callable
from zlib import crc32

Random = Callable[[int], bytes]
"""A function that returns so many random bytes, fit for secrets."""

system_random: Random = secrets.token_bytes

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_FORM = re.compile(r"(smg_(?:wk|at)_[0-9A-Za-z]{8}_[0-9A-Za-z]{32})([0-9A-Za-z]{6})")


def new_write_key(random: Random = system_random) -> str:
    return _new_key("smg_wk", random)


def new_token(random: Random = system_random) -> str:
    return _new_key("smg_at", random)


def is_well_formed(key: str) -> bool:
    """Whether it is a generated key with the right checksum. This distinguishes a typo from an unknown key."""
    found = _FORM.fullmatch(key)
    return found is not None and found[2] == _checksum(found[1])


def beginning(key: str) -> str:
    """The prefix and the public id of a generated key: they identify it, and give no access."""
    return "_".join(key.split("_")[:3]) + "_…" if is_well_formed(key) else ""


def sha256_hex(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _new_key(prefix: str, random: Random) -> str:
    body = f"{prefix}_{_base62(random(16), 8)}_{_base62(random(32), 32)}"
    return body + _checksum(body)


def _checksum(body: str) -> str:
    return _base62(crc32(body.encode()).to_bytes(4, "big"), 6)


def _base62(data: bytes, length: int) -> str:
    """The last `length` digits. With 8 bytes more than the digits hold, the bias is below 2^-64."""
    number = int.from_bytes(data, "big")
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
