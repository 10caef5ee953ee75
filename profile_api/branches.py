"""Branches: which account is a branch of which, folded from all that was said of it. Pure.

What was said is taken in the total order of events. A parent that would close a ring is refused, as it stands at that
moment: so the result is a function of the set of statements, whatever order they came in.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple


class Said(NamedTuple):
    """That an account is a branch of a parent, "" for none. `ver`: the rank of the event in the total order."""

    ver: int
    account: str
    parent: str


@dataclass(slots=True)
class Branches:
    """`parents`: account -> its parent. `refused`: what would have closed a ring."""

    parents: dict[str, str] = field(default_factory=dict)
    refused: list[Said] = field(default_factory=list)

    def above(self, account: str) -> Iterator[str]:
        """Its parent, and so on upwards."""
        while (parent := self.parents.get(account)) is not None:
            yield parent
            account = parent

    def below(self) -> dict[str, list[str]]:
        """Account -> its branches, by key."""
        found: dict[str, list[str]] = {}
        for account, parent in sorted(self.parents.items()):
            found.setdefault(parent, []).append(account)
        return found


def folded(said: Iterable[Said]) -> Branches:
    branches = Branches()
    for one in sorted(set(said)):
        if not one.parent:
            branches.parents.pop(one.account, None)
        elif one.account in (one.parent, *branches.above(one.parent)):
            branches.refused.append(one)
        else:
            branches.parents[one.account] = one.parent
    return branches
