"""Records of simorgh.identity, in few words."""

from collections.abc import Iterable

from msgspec import UNSET

from identity.nodes import to_hex
from identity.rules import IdentityRules
from schemas.records import Link, Merge, Rules, Split


def link(
    nodes: Iterable[tuple[int, str]], at: int, *, alias: bool = False, place: int | None = None, key: str = "0" * 32
) -> Link:
    """`nodes`: each with its type. `place`: None as in the first versions."""
    return Link(
        key=key,
        source="tests",
        received_at=at,
        place=UNSET if place is None else place,
        nodes=[(to_hex(node), type) for node, type in nodes],
        alias=alias,
    )


def merge(command: int, a: int, b: int, at: int) -> Merge:
    return Merge(command=command, a=to_hex(a), b=to_hex(b), reason="", by="tests", at=at)


def split(command: int, nodes: Iterable[int], at: int) -> Split:
    return Split(command=command, nodes=[to_hex(node) for node in nodes], reason="", by="tests", at=at)


def rules(version: int, what: IdentityRules, at: int) -> Rules:
    return Rules(version=version, rules=what.model_dump(mode="json"), at=at)
