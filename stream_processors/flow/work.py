"""The work of the profiles stage in one batch, as data."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field

from stream_processors.state.touches import Touch, Touches


@dataclass(slots=True)
class Work:
    """A batch's touches of one profile as one; its partition, and the version of its row."""

    touch: Touch
    part: int
    ver: int


@dataclass(slots=True)
class SortedWork:
    """The work of a batch: live profiles -> their nodes, profiles that no longer exist -> their heirs (0: nobody), and
    touches for others."""

    live: dict[int, list[int]] = field(default_factory=dict)
    gone: dict[int, int] = field(default_factory=dict)
    passed_on: Touches = field(default_factory=Touches)


@dataclass(slots=True)
class ProfileLooks:
    """The profiles to process: live ones with their nodes; those that no longer exist, with their heirs and their
    memberships; and those that are set aside."""

    work: Mapping[int, Work]
    fresh: Set[int]
    live: dict[int, list[int]]
    gone: dict[int, int]
    left: dict[int, dict[str, int]]
    aside: list[int] = field(default_factory=list)

    def set_aside(self, profiles: Iterable[int]) -> None:
        for profile in profiles:
            if self.live.pop(profile, None) is not None:
                self.aside.append(profile)

    def only(self, some: Iterable[int]) -> "ProfileLooks":
        """Only some of the live profiles."""
        return ProfileLooks(self.work, self.fresh, {profile: self.live[profile] for profile in some}, {}, {})
