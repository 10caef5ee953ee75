"""Exact money: integers of a millionth of a unit in memory, Decimal(38, 6) in the warehouse."""

from collections.abc import Sequence
from decimal import Context, Decimal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_EXACT = Context(prec=60)  # the default context would round sums of more than 28 digits
_MOST = 10**38 - 1


def micros(amount: str | Decimal) -> int:
    """An amount with at most six decimals -> millionths."""
    return int(_EXACT.scaleb(Decimal(amount), 6))


def decimal(value: int) -> Decimal:
    return _EXACT.scaleb(Decimal(value), -6)


def decimal_array(values: Sequence[int]) -> pa.Array:
    """Millionths -> Arrow decimal128(38, 6). A sum that does not fit becomes the largest one that does."""
    try:
        raw = _extended(np.array(values, dtype="<i8"))
    except OverflowError:
        raw = b"".join([max(-_MOST, min(v, _MOST)).to_bytes(16, "little", signed=True) for v in values])
    return pa.Array.from_buffers(pa.decimal128(38, 6), len(values), [None, pa.py_buffer(raw)])


def _extended(values: npt.NDArray[np.int64]) -> bytes:
    """Integers of 64 bits as such of 128."""
    wide = np.empty((len(values), 2), dtype="<i8")
    wide[:, 0] = values
    wide[:, 1] = values >> 63
    return wide.tobytes()
