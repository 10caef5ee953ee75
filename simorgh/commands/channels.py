"""The known channels, so that a misspelt one is noticed before events carry it."""

from difflib import get_close_matches
from typing import Final

from schemas.errors import InvalidInput
from simorgh.commands.session import Api

KNOWN: Final = (
    "web",
    "mobile",
    "email",
    "sms",
    "push",
    "chat",
    "social",
    "pos",
    "store",
    "phone",
    "feedback",
    "server",
)


def checked_channel(api: Api | None, channel: str) -> str:
    """The channel, if it is known or a declared source has it. Otherwise raises `InvalidInput`, which lists them.

    Without an API (a dry run) only the known ones count.
    """
    declared = {source["channel"] for source in api.get("/v1/sources")["items"]} if api else set()
    there = [*KNOWN, *sorted(declared - set(KNOWN))]
    if channel in there:
        return channel
    near = get_close_matches(channel, there, 1)
    hint = f"did you mean {near[0]}? To" if near else "to"
    raise InvalidInput(
        f"channel: wanted one of {', '.join(there)}, got {channel!r}; {hint} declare a new one, use"
        " `simorgh sources create ID --channel NAME --new-channel`",
        code="unknown_channel",
    )
