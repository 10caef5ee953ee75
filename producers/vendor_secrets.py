"""The secrets of a source's webhook: sealed for its declaration, opened for its connector."""

from collections.abc import Mapping
from typing import Final

from privacy.secret_box import SecretBox
from registry.models import Source, SourceSecret

_SHOWN: Final = 4
_LONG: Final = 16
"""Of a shorter secret nothing is shown."""


def sealed(box: SecretBox, source: str, id: str, use: str, secret: str, now: int) -> SourceSecret:
    """`now`: ms."""
    begins = f"{secret[:_SHOWN]}…" if len(secret) >= _LONG else "…"
    return SourceSecret(id=id, use=use, created_at=now, begins=begins, sealed=box.seal(secret, _place(source, id)))


def opened(box: SecretBox, source: Source, now: int) -> Mapping[str, list[str]]:
    """Use -> the secrets that hold at `now` (ms), the newest first. One that cannot be opened, since the workspace has
    another secret now, is left out."""
    found: dict[str, list[str]] = {}
    for one in reversed(source.secrets):
        if one.until is None or now < one.until:
            text = box.open(one.sealed, _place(source.id, one.id))
            if text is not None:
                found.setdefault(one.use, []).append(text)
    return found


def _place(source: str, id: str) -> str:
    return f"{source}/{id}"
