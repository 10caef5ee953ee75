"""The names of the pipeline's side effects, where tests kill the process."""

from collections.abc import Callable

Checkpoint = Callable[[str], None]
"""Called after each side effect, by name, from whatever thread did it."""

CHECKPOINTS = (
    "retellings", "links", "segments", "log_rows", "ids", "events", "tellings", "traits", "consents", "identifiers",
    "identity", "members", "decisions", "transitions", "memberships", "views", "profile_rows", "commit",
)  # fmt: skip
"""In the order of the list in `stream_processors.host.box`."""


def no_checkpoint(_: str) -> None:
    """Nothing happens at a checkpoint outside of tests."""
