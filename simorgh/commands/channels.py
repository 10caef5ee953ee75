"""Which channels there are, so that a misspelt one is noticed before events carry it."""

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
    """The channel, if it is one of the known ones or of a declared source's. Raises `InvalidInput` with all of these.

    Without an API (a dry run) only the known ones count.
    """
    declared = {source["channel"] for source in api.get("/v1/sources")["items"]} if api else set()
    there = [*KNOWN, *sorted(declared - set(KNOWN))]
    if channel in there:
        return channel
    near = get_close_matches(channel, there, 1)
    raise InvalidInput(
        f"channel: one of {', '.join(there)} was wanted; {channel!r} came"
        + (f", did you mean {near[0]}?" if near else "")
        + " (declare a new one with `simorgh sources create ID --channel NAME --new-channel`)",
        code="unknown_channel",
    )
