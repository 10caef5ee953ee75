"""The dictionaries with which personal content is compressed before it is sealed: what is sealed does not compress.

A dictionary holds what events have in common: names of members, of SDKs and of browsers. It is part of the format:
a version that was used once stays forever, and a better one gets the next number. How one is made: README.md.
"""

import threading
from functools import cache
from importlib.resources import files
from typing import Final

from eventlog.zstd import zstd
from schemas.errors import Broken

__all__ = ["LATEST", "compress", "decompress"]

LATEST: Final = 1
_OPTIONS: Final[dict[int, int]] = {
    zstd.CompressionParameter.compression_level: 3,
    zstd.CompressionParameter.dict_id_flag: 0,
}
"""Each event says which dictionary it is. How long it is stays in it: so it is opened in one step."""


@cache
def _dictionary(version: int) -> zstd.ZstdDict:
    try:
        content = files("privacy").joinpath(f"dictionary.v{version}.zdict").read_bytes()
    except FileNotFoundError:
        raise Broken(
            f"sealed event: wanted a dictionary of version 1 to {LATEST}, got {version}; start the version of Simorgh"
            " that wrote it"
        ) from None
    return zstd.ZstdDict(content)


class _Compressor(threading.local):
    """A context for each thread: making one takes longer than using it, and it lets in one thread at a time."""

    def __init__(self) -> None:
        self.of_latest = zstd.ZstdCompressor(options=_OPTIONS, zstd_dict=_dictionary(LATEST).as_digested_dict)


_compressor: Final = _Compressor()


def compress(content: bytes) -> bytes:
    """With the latest dictionary."""
    return _compressor.of_latest.compress(content, zstd.ZstdCompressor.FLUSH_FRAME)


def decompress(compressed: bytes, version: int) -> bytes:
    return zstd.ZstdDecompressor(zstd_dict=_dictionary(version)).decompress(compressed)
