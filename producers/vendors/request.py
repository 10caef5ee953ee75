"""A vendor's request as a connector sees it, and the answers that a connector may give. Values only: no HTTP here."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Final

from schemas.errors import Unverified

SIGNING: Final = "signing"
"""The usual use of a secret: it signs or authenticates deliveries."""

Secrets = Mapping[str, Sequence[str]]
"""Use -> the secrets of the source that hold now, several while one is rotated. A use without any is absent."""


class Headers:
    """The headers of a request, found by name in any case."""

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name.lower(), []).append(value)

    def get(self, name: str) -> str | None:
        """The first of this name. For what is not part of a proof."""
        values = self._values.get(name.lower())
        return values[0] if values else None

    def one(self, *names: str) -> str:
        """The only header that has one of these names. Raises `Unverified` for none, for several, and for an empty one:
        a proof that is there twice proves nothing."""
        values = [value for name in names for value in self._values.get(name.lower(), ())]
        if len(values) != 1 or not values[0]:
            came = "several" if len(values) > 1 else "none"
            raise Unverified(f"{names[0]}: wanted it once, got {came}; let the vendor sign its deliveries")
        return values[0]

    def items(self) -> list[tuple[str, str]]:
        return [(name, value) for name, values in self._values.items() for value in values]


@dataclass(frozen=True, slots=True)
class VendorRequest:
    """`query`: the first value of each name. `received_at`: ms, by our clock. `body`: exactly as it came.

    `url`: the address that the vendor has registered, with its query, as some vendors sign it; from the source's
    setting where it names one. `zone`: of the source, for times without an offset. `settings`: what the source declares
    for its webhook. `certificate`: the PEM file that the connector's `certificate_url` names.
    """

    method: str
    headers: Headers
    body: bytes
    received_at: int
    query: Mapping[str, str] = field(default_factory=dict)
    url: str = ""
    zone: tzinfo = UTC
    settings: Mapping[str, object] = field(default_factory=dict)
    certificate: bytes | None = None
    memo: dict[str, object] = field(default_factory=dict, compare=False, repr=False)
    """What was read from the body, by how it was read."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the connector's own. `visit`: an address to call first, to confirm a subscription; the connector
    vouches for its host."""

    body: bytes = b""
    status: int = 200
    content_type: str = "text/plain"
    visit: str | None = None
