"""Secrets of others at rest, such as those that vendors sign with: sealed with a key derived from the workspace's
secret (HKDF, RFC 5869), so that the log alone reveals none."""

import base64
import binascii
from functools import lru_cache
from os import urandom
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_PURPOSE: Final = b"simorgh: secrets of sources 1"
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_OPEN: Final = 1_024


class SecretBox:
    """Safe from any thread."""

    def __init__(self, secret: bytes) -> None:
        """`secret`: the workspace's."""
        self._cipher = AESGCM(HKDF(SHA256(), _KEY_BYTES, None, _PURPOSE).derive(secret))
        self._opened = lru_cache(_OPEN)(self._open)

    def seal(self, text: str, bound_to: str) -> str:
        """Returns Base64. It opens only with the same `bound_to`."""
        nonce = urandom(_NONCE_BYTES)
        return base64.b64encode(nonce + self._cipher.encrypt(nonce, text.encode(), bound_to.encode())).decode()

    def open(self, sealed: str, bound_to: str) -> str | None:
        """None if it was sealed with another secret, or bound to something else."""
        return self._opened(sealed, bound_to)

    def _open(self, sealed: str, bound_to: str) -> str | None:
        try:
            content = base64.b64decode(sealed, validate=True)
            return self._cipher.decrypt(content[:_NONCE_BYTES], content[_NONCE_BYTES:], bound_to.encode()).decode()
        except (InvalidTag, ValueError, binascii.Error):
            return None
