"""The names of the pipeline's side effects, where tests kill the process."""

from collections.abc import Callable

Checkpoint = Callable[[str], None]
"""Called after each side effect, by name, in the thread that did it."""

CHECKPOINTS = (
    "retellings", "order_tellings", "links", "segments", "log_rows", "ids", "events", "tellings", "traits", "consents",
    "identifiers", "identity", "members", "decisions", "transitions", "memberships", "views", "profile_rows", "commit",
)  # fmt: skip
"""In the order of the list in `stream_processors.host.box`."""


def no_checkpoint(_: str) -> None:
    """Outside of tests, a checkpoint does nothing."""
