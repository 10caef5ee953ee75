"""`simorgh tail`: events as they arrive, accepted and rejected, with reasons; each once, none skipped."""

import select
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import typer

from simorgh.commands.output import json_text, printable

_PAGE: Final = 1_000
_POLL_SECONDS: Final = 0.25
_FAR_BEHIND: Final = 20_000
"""The number of events waiting to be printed above which `tail` says that the reader is too slow."""
_SAY_SO_EVERY_S: Final = 5.0


class EventsApi(Protocol):
    follows: bool

    def get(self, path: str, **params: object) -> Any: ...


def follow(
    api: EventsApi,
    lines: int,
    *,
    as_json: bool,
    note: Callable[[str], None],
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Print the latest `lines` events and then new ones, until interrupted or the output is closed. If no server has
    the folder open, no events can arrive, and it ends at once."""
    show = _as_json if as_json else _as_line
    answer = api.get("/v1/events", limit=max(lines, 1))
    for item in reversed(answer["items"][:lines]):
        typer.echo(show(item))
    if not api.follows:
        note("no server has this data folder open, so nothing arrives; start one with `simorgh serve`")
        return
    said_so = float("-inf")
    while not _nobody_reads():
        sys.stdout.flush()
        if not answer["behind"]:
            pause(_POLL_SECONDS)
        answer = api.get("/v1/events", limit=_PAGE, after=answer["follow"])
        for item in answer["items"]:
            typer.echo(show(item))
        if answer["behind"] > _FAR_BEHIND and clock() - said_so > _SAY_SO_EVERY_S:
            said_so = clock()
            note(f"{answer['behind']:,} events behind: they arrive faster than they are printed; none is skipped")


def _nobody_reads() -> bool:
    """Whether the other end of a pipe is closed: without an event to print, writing would not find out."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return any(happened & (select.POLLERR | select.POLLHUP) for _, happened in poll.poll(0))
    except (AttributeError, OSError, ValueError):  # no poll here, or no file behind it
        return False


def _as_json(item: Mapping[str, Any]) -> str:
    return json_text(item)


def _as_line(item: Mapping[str, Any]) -> str:
    accepted = item["status"] == "accepted"
    status = typer.style("accepted" if accepted else "rejected", fg="green" if accepted else "red")
    said = f"{item.get('source', '')}  {item.get('type') or ''}  {item['id']}"
    if not accepted:
        said += f"  {item['code']}: {item['reason']}"
    return f"{item['received_at']}  {status}  {printable(said)}"
