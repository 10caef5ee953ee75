"""Running the queries of a rule that a caller brings: within limits, or for whether they run at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from profile_api.deps import ApiDeps
from schemas.errors import Broken, InvalidInput, InvalidRule
from segments.sql import Query


def rows(deps: ApiDeps, query: Query) -> list[dict[str, Any]]:
    """Run it within the limits of a caller's query. Raises `InvalidRule`, which says what to do, if it exceeds one
    (`query_too_large`) or the engine refuses it (`rule_does_not_run`), and `Backpressure` while the engine is
    unavailable."""
    with _rule_at_fault():
        return deps.reader.rows(query.sql, query.parameters)


def try_out(deps: ApiDeps, query: Query) -> None:
    """Run it, however long that takes, for whether it runs at all. Raises as `rows` does."""
    with _rule_at_fault():
        deps.reader.fill(query.sql, query.parameters)


@contextmanager
def _rule_at_fault() -> Iterator[None]:
    try:
        yield
    except InvalidInput as error:
        raise InvalidRule(
            "rule: wanted an answer within the limits of time and memory, got past one of them; narrow it (`within`"
            " or `between`, fewer nodes), or declare it: what is declared is filled in pages",
            code=error.code,
        ) from None
    except Broken as error:
        raise InvalidRule(
            f"rule: wanted one that the engine runs, got one that it does not; ask for less: {error.message}",
            code="rule_does_not_run",
        ) from None
