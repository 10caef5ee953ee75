"""Exact money: integers of a millionth of a unit in memory, Decimal(38, 6) in the warehouse."""

from collections.abc import Iterable
from decimal import Context, Decimal

import pyarrow as pa

_EXACT = Context(prec=60)  # the default context would round sums of more than 28 digits
_MOST = 10**38 - 1


def micros(amount: str | Decimal) -> int:
    """An amount with at most six decimals -> millionths."""
    return int(_EXACT.scaleb(Decimal(amount), 6))


def decimal(value: int) -> Decimal:
    return _EXACT.scaleb(Decimal(value), -6)


def decimal_array(values: Iterable[int]) -> pa.Array:
    """Millionths -> Arrow decimal128(38, 6). A sum that does not fit is shown as the largest that does."""
    raw = b"".join([max(-_MOST, min(v, _MOST)).to_bytes(16, "little", signed=True) for v in values])
    return pa.Array.from_buffers(pa.decimal128(38, 6), len(raw) // 16, [None, pa.py_buffer(raw)])
