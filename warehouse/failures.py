"""Converts the engine's errors to `schemas.errors`, by the error's number alone. The engine's text may quote a caller's
value, and that of a transport error the whole request, so neither is passed on.
"""

import re
from errno import EMFILE, errorcode
from typing import Final

from clickhouse_connect.driver.exceptions import (
    ClickHouseError,
    DatabaseError,
    DataError,
    Error,
    NotSupportedError,
    ProgrammingError,
)
from urllib3.exceptions import HTTPError

from schemas.errors import Backpressure, Broken, InvalidInput, SimorghError

EngineError = (ClickHouseError, HTTPError, OSError)
"""The errors of clickhouse-connect for a failed call, and for files that it cannot open."""

UNAVAILABLE: Final = "warehouse_unavailable"
DAMAGED: Final = "warehouse_damaged"

_OVER_LIMIT: Final = {
    158: "TOO_MANY_ROWS",
    159: "TIMEOUT_EXCEEDED",
    241: "MEMORY_LIMIT_EXCEEDED",
    394: "QUERY_WAS_CANCELLED",
    396: "TOO_MANY_ROWS_OR_BYTES",
}
_PASSING: Final = {
    202: "TOO_MANY_SIMULTANEOUS_QUERIES",
    203: "NO_FREE_CONNECTION",
    209: "SOCKET_TIMEOUT",
    210: "NETWORK_ERROR",
    225: "NO_ZOOKEEPER",
    236: "ABORTED",
    242: "TABLE_IS_READ_ONLY",
    243: "NOT_ENOUGH_SPACE",
    252: "TOO_MANY_PARTS",
    279: "ALL_CONNECTION_TRIES_FAILED",
    285: "TOO_FEW_LIVE_REPLICAS",
    286: "UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE",
    319: "UNKNOWN_STATUS_OF_INSERT",
    369: "ALL_REPLICAS_ARE_STALE",
    733: "TABLE_IS_BEING_RESTARTED",
    745: "SERVER_OVERLOADED",
    999: "KEEPER_EXCEPTION",
}
_DAMAGED: Final = {
    32: "ATTEMPT_TO_READ_AFTER_EOF",
    33: "CANNOT_READ_ALL_DATA",
    40: "CHECKSUM_DOESNT_MATCH",
    107: "FILE_DOESNT_EXIST",
    226: "NO_FILE_IN_DATA_PART",
    227: "UNEXPECTED_FILE_IN_DATA_PART",
    228: "BAD_SIZE_OF_FILE_IN_DATA_PART",
    246: "CORRUPTED_DATA",
    271: "CANNOT_DECOMPRESS",
    432: "UNKNOWN_CODEC",
}
"""The engine's errors for a table's file that was changed or truncated on disk."""
_MISSING: Final = {60: "UNKNOWN_TABLE", 81: "UNKNOWN_DATABASE"}
_NO_DESCRIPTOR: Final = f"errno: {EMFILE}"
"""In the embedded engine's message if it cannot open anything; the error's number says less."""

_REFUSED_USER: Final = {
    192: "UNKNOWN_USER",
    193: "WRONG_PASSWORD",
    194: "REQUIRED_PASSWORD",
    516: "AUTHENTICATION_FAILED",
}


def read_failure(error: Exception) -> SimorghError:
    """For a caller's query: exceeding its limits is the caller's fault."""
    reached = _OVER_LIMIT.get(_code(error) or 0)
    if reached:
        return InvalidInput(
            f"warehouse: wanted a query within the limits, got {reached}; ask for less at a time",
            code="query_too_large",
        )
    return _failure(error, "")


def failure(error: Exception) -> SimorghError:
    """For our own queries: `Backpressure` if the same call may succeed later, else `Broken`."""
    return _failure(error, "the rows may be written or not, so read them back, ")


def _failure(error: Exception, first: str) -> SimorghError:
    code = _code(error)
    passing = (_PASSING | _OVER_LIMIT).get(code) if code else _transport(error)
    if passing is None and _NO_DESCRIPTOR in str(error):
        passing = "no descriptor left"
    if passing:
        return Backpressure(
            f"warehouse: wanted an answer, got {passing}; {first}try again later",
            code=UNAVAILABLE,
        )
    if code in _DAMAGED:
        return damage(f"{code}, {_DAMAGED[code]}")
    if code in _MISSING:
        return Broken(
            f"warehouse: wanted its tables, got {_MISSING[code]}; nothing is lost, restart one machine, or the workers"
            " of a cluster: they rebuild them (docs/operations.md, Rebuilding the tables)",
            code="tables_missing",
        )
    if code in _REFUSED_USER:
        return Backpressure(
            f"warehouse: wanted access, got {_REFUSED_USER[code]}; check SIMORGH_CLICKHOUSE and"
            " SIMORGH_CLICKHOUSE_READ_URL",
            code=UNAVAILABLE,
        )
    came = f"code {code}" if code else type(error).__name__
    return Broken(f"warehouse: wanted an answer of the engine, got {came}; report this")


def damage(how: str) -> Broken:
    """A table's files have changed since the engine wrote them. The tables can be rebuilt from the log."""
    return Broken(
        f"warehouse: wanted a table as written, got a damaged one (code {how}); check the disk, then run `simorgh"
        " replay`, which rebuilds all tables from the log",
        code=DAMAGED,
    )


def _code(error: Exception) -> int | None:
    return error.code if isinstance(error, Error) else None


def _transport(error: Exception) -> str | None:
    """Names a failure between us and the engine; None if the client library itself refused the call."""
    if isinstance(error, HTTPError):
        return type(error).__name__
    if isinstance(error, OSError):
        return errorcode.get(error.errno or 0, "a file")
    if not isinstance(error, DatabaseError) or isinstance(error, DataError | ProgrammingError | NotSupportedError):
        return None
    status = re.search(r"HTTP status (\d{3})\b", str(error))
    return f"HTTP {status[1]}" if status else "no connection"
