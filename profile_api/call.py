"""A request to the API under way: who calls, what it looks at, whether it may see personal values.

Routes say what they look at by `note`, wherever they are when they know it: the call is a context variable, which
follows a request into the threads that work for it. Where no call is under way, as in a command, nothing is noted.
"""

from collections.abc import Collection, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

from privacy.masks import Masks
from profile_api.masking import masks_of
from registry.models import Source, Token, TraitDeclaration
from registry.scopes import PERSONAL
from schemas.errors import Denied

_MOST: Final = 100
"""Profiles and hashes that an audit entry names; the others are counted."""


@dataclass(slots=True)
class Call:
    """`recorded`: whether an audit entry is written of it, `waits`: before it is answered, `changes`: one before it,
    too. `answers`: the model of its answers."""

    action: str
    request: str
    recorded: bool
    waits: bool
    changes: bool
    answers: Any
    token: Token | None = None
    sources: Mapping[str, Source] = field(default_factory=dict)
    purposes: Collection[str] = ()
    traits: Mapping[str, TraitDeclaration] = field(default_factory=dict)
    profiles: dict[int, None] = field(default_factory=dict)
    sought: dict[str, None] = field(default_factory=dict)
    others: int = 0
    target: str = ""

    @property
    def sees_personal(self) -> bool:
        return self.token is None or PERSONAL in self.token.scopes


CURRENT: ContextVar[Call | None] = ContextVar("call", default=None)


def note(*, profiles: Iterable[int] = (), sought: Iterable[str] = (), target: str = "", others: int = 0) -> None:
    """For the audit entry of the request under way: `profiles` whose data it shows or changes; what it looked for and
    did not find (hashed before it is written); the declaration that it is about; how many people or events more."""
    call = CURRENT.get()
    if call is None:
        return
    for profile in profiles:
        if profile in call.profiles:
            continue
        if len(call.profiles) < _MOST:
            call.profiles[profile] = None
        else:
            call.others += 1
    for text in sought:
        if len(call.sought) < _MOST:
            call.sought[text] = None
    call.others += others
    call.target = target or call.target


def unrecorded() -> None:
    """The answer of the request under way shows nothing at all, so no entry is written of it."""
    call = CURRENT.get()
    if call is not None:
        call.recorded = False


def sees_personal() -> bool:
    """Whether whoever asks may see personal values. Where nobody asks over the API, they may."""
    call = CURRENT.get()
    return call is None or call.sees_personal


def masks() -> Masks | None:
    """What hides personal values from whoever asks; None where they may see them."""
    call = CURRENT.get()
    return None if call is None or call.sees_personal else masks_of(call.sources, call.purposes, call.traits)


def require_personal(what: str) -> None:
    """Raises `Denied` if the caller may not see personal values: an answer would reveal whether somebody has the one
    that was asked about. `what` names what was asked for."""
    if not sees_personal():
        raise Denied(
            f"{what}: wanted a token with the scope {PERSONAL}, got one without; name profiles by their ids, or ask for"
            " another token",
            code="forbidden",
        )
