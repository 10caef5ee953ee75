"""What a watched source does: it hands out files that have arrived, and puts each away once it was imported."""

from pathlib import Path
from typing import Any, NamedTuple, Protocol


class Arrival(NamedTuple):
    """A file that is complete. `name`: what its sender calls it. `digest`: the SHA-256 of its content."""

    path: Path
    name: str
    digest: str


class Imported(NamedTuple):
    """`done`: whether it was imported. `mapping`: the name of the mapping that was used, and a digest of its content.
    `report`: what goes beside the file.
    """

    done: bool
    mapping: str
    report: dict[str, Any]


class WatchedSource(Protocol):
    """Used by one thread."""

    def arrivals(self) -> list[Arrival]:
        """The files that are complete and not put away. A file that could not be imported for a reason outside of it
        is handed out again. Raises `SimorghError` or `OSError` if the source cannot be looked at now.
        """
        ...

    def was_imported(self, arrival: Arrival, mapping: str) -> str | None:
        """The name under which the same content was imported by the same mapping; None if it was not."""
        ...

    def put_away(self, arrival: Arrival, outcome: Imported) -> Path | None:
        """Keep the report, and never hand out this file again. Returns the path of the report; None if the file has
        changed since it was handed out: then it will be handed out again.
        """
        ...

    def close(self) -> None: ...
