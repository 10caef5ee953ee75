"""A statement of consent on its way from the API to the log."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stated:
    """What the person of an identifier (type, normalised value) allows. Times in ms; `at`: None for now. `detail`: why,
    and by whom."""

    identifier: tuple[str, str]
    consent: Mapping[str, bool]
    received_at: int
    at: int | None
    detail: Mapping[str, str]
