"""The identity rules of a workspace as data: priorities, limits, junk values, shared identifiers.

{"version": 1, "priorities": ["user_id", "email"],
 "limits": {"user_id": {"max": 1}, "anonymous_id": {"max": 20, "within_days": 7}}, "default_limit": {"max": 5},
 "blocked": {"*": ["null", "[0-]*"], "device_id": []},
 "persons": ["user_id", "email", "phone", "loyalty_card"], "shared_after": 10, "max_nodes": 1000}
"""

from functools import cached_property, lru_cache
from typing import Final, Self

import re2
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from identity.junk import JUNK, JUNK_DEVICES, JUNK_EMAILS, JUNK_PHONES
from identity.normalise import check_type
from schemas.errors import InvalidInput, InvalidRule
from schemas.wanted import wrong_parts

MS_PER_DAY: Final = 86_400_000
ANY_TYPE: Final = "*"


class Limit(BaseModel):
    """At most `max` identifiers of a type per profile; with `within_days`, at most `max` that join in such a window."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max: int = Field(ge=1)
    within_days: int | None = Field(default=None, ge=1, le=3650)

    @property
    def within_ms(self) -> int | None:
        return None if self.within_days is None else self.within_days * MS_PER_DAY


class IdentityRules(BaseModel):
    """Which identifiers may be joined. Immutable; `model_dump(mode="json")` and `parse` are inverse."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = Field(default=1, ge=1)
    priorities: tuple[str, ...] = ("user_id", "email")
    """The types with the highest priority, in order; all other types follow in alphabetical order."""
    limits: dict[str, Limit] = Field(
        default_factory=lambda: {"user_id": Limit(max=1), "anonymous_id": Limit(max=20, within_days=7)}
    )
    """A browser's cookie often lives a week, so a customer gets more and more anonymous ids: only their rate is
    limited."""
    default_limit: Limit | None = Limit(max=5)
    """For types without a limit of their own; None: no limit."""
    blocked: dict[str, tuple[str, ...]] = Field(
        default_factory=lambda: {
            ANY_TYPE: JUNK,
            "device_id": JUNK_DEVICES,
            "anonymous_id": JUNK_DEVICES,
            "email": JUNK_EMAILS,
            "phone": JUNK_PHONES,
        }
    )
    """RE2 patterns per type, "*" for all; a value that one of them matches as a whole is not an identifier."""
    persons: tuple[str, ...] = ("user_id", "email", "phone", "loyalty_card")
    """Types that stand for a person, the surest first."""
    shared_after: int | None = Field(default=10, ge=1)
    """An identifier linked to more than so many identifiers of one surer person type belongs to nobody."""
    max_nodes: int = Field(default=1000, ge=2)

    @classmethod
    def parse(cls, data: object) -> Self:
        """Rules from JSON. Raises InvalidRule with the path of the first fault."""
        try:
            return cls.model_validate(data)
        except ValidationError as fault:
            first = wrong_parts(fault)[0]
            raise InvalidRule(
                f"identity rules {first.pointer or '/'}: {first.message}; correct it", path=first.pointer
            ) from None

    def rank(self, type: str) -> int:
        """Smaller is higher priority: 1, 2, … for `priorities`, then every other type in alphabetical order.

        Only the order of ranks has a meaning. A new type must fit between any two, so the ranks of other types are
        their names read as numbers.
        """
        return _rank(self.priorities, type)

    def limit(self, type: str) -> Limit | None:
        return self.limits.get(type, self.default_limit)

    def is_blocked(self, type: str, normalised: str) -> bool:
        """Whether it is junk, which must never join people. Linear in the value's length, whatever the pattern."""
        matchers = self.matchers
        return bool((matchers.get(type) or matchers[ANY_TYPE]).Match(normalised))

    @cached_property
    def has_windows(self) -> bool:
        """Whether a limit applies to some days only, so that a refused link may be accepted later."""
        limits = (self.default_limit, *self.limits.values())
        return any(limit is not None and limit.within_days is not None for limit in limits)

    @cached_property
    def matchers(self) -> dict[str, re2.Set]:
        """Compiled `blocked`: for each type its own patterns and those for all."""
        common = self.blocked.get(ANY_TYPE, ())
        own = {type: (*common, *patterns) for type, patterns in self.blocked.items() if type != ANY_TYPE}
        return {type: _compile(patterns) for type, patterns in {ANY_TYPE: common, **own}.items()}

    def counts_for(self, type: str) -> tuple[str, ...]:
        """The person types whose number makes an identifier of `type` shared: those surer than itself."""
        return self.persons[: self.persons.index(type)] if type in self.persons else self.persons

    @model_validator(mode="after")
    def _check(self) -> Self:
        for types in (self.priorities, self.persons):
            if len(set(types)) != len(types):
                raise ValueError("wanted each type once, got one twice")
        blocked = [type for type in self.blocked if type != ANY_TYPE]
        for type in (*self.priorities, *self.persons, *self.limits, *blocked):
            _check_type(type)
        _ = self.matchers  # compiled now, so that a bad pattern is refused with the rules
        return self


def _check_type(type: str) -> None:
    try:
        check_type(type)
    except InvalidInput as fault:
        raise ValueError(fault.message) from None


@lru_cache(maxsize=4096)
def _rank(priorities: tuple[str, ...], type: str) -> int:
    if type in priorities:
        return priorities.index(type) + 1
    return len(priorities) + 1 + int.from_bytes(type.encode().ljust(64, b"\0"), "big")


@lru_cache(maxsize=256)
def _compile(patterns: tuple[str, ...]) -> re2.Set:
    """A set that matches whole values; kept by value, so that equal rules compare equal."""
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    options.never_capture = True
    options.max_mem = 8 << 20
    matcher = re2.Set.FullMatchSet(options)
    try:
        for pattern in patterns:
            matcher.Add(pattern)
        matcher.Compile()
    except re2.error:
        raise ValueError("wanted RE2 expressions of a moderate size, got a blocked pattern that is none") from None
    return matcher


DEFAULT_RULES: Final = IdentityRules()
