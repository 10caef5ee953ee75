"""Running the queries of a rule that a caller brings: within limits, or for whether they run at all."""

from typing import Any

from profile_api.deps import ApiDeps
from schemas.errors import InvalidInput
from stream_processors.segments.sql import Query


def rows(deps: ApiDeps, query: Query) -> list[dict[str, Any]]:
    """Run it within the limits of a caller's query. Raises `InvalidInput` (`query_too_large`) that says what to do."""
    try:
        return deps.reader.rows(query.sql, query.parameters)
    except InvalidInput as error:
        raise InvalidInput(
            "rule: an answer within the limits of time and memory was wanted, the engine reached one of them; narrow"
            " the rule (`within` or `between`, fewer nodes), or declare it: what is declared is filled in pages",
            code=error.code,
        ) from None


def try_out(deps: ApiDeps, query: Query) -> None:
    """Run it, however long that takes, for whether it runs at all. Raises what the engine does not take."""
    deps.reader.fill(query.sql, query.parameters)
