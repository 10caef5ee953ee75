"""Whether a purpose is allowed: what the person stated, else the purpose's default."""

from typing import Final

from registry.models import GRANTED, Purpose

Choice = bool | str
"""A yes, a no, or a word of the sender's."""

YES: Final = frozenset(
    {"granted", "yes", "true", "allow", "allowed", "accept", "accepted", "opt_in", "opt-in", "opted_in"}
)
"""The words that mean yes, in any case. Every other one means no."""


def is_yes(choice: Choice) -> bool:
    return choice.strip().casefold() in YES if isinstance(choice, str) else choice is True


def allows(purpose: Purpose | None, choice: Choice | None) -> bool:
    """`choice`: of the statement that holds; None where nobody said anything. A purpose that is not declared (None) is
    allowed by those who said yes."""
    if choice is None:
        return purpose is not None and purpose.default == GRANTED
    return is_yes(choice)
