"""The demo as a story: load, wait, declare, look. Everything goes over HTTP, as it would from outside.

The purchases are real (UCI Online Retail, moved by whole weeks). The rest is simulated: the web comes in by an SDK's
protocol; emails, chats, tickets, calls and surveys by the vendors' webhooks, signed.
"""

import time
from pathlib import Path
from typing import Any, Final

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from producers.files.importer import import_file
from producers.files.mapping import load_mapping
from producers.files.report import Report
from producers.files.sinks import HttpSink
from schemas.clock import Clock, system_clock
from schemas.errors import Broken
from simorgh.demo import findings
from simorgh.demo.people import History, HistoryKeeper, Person
from simorgh.demo.segments import SEGMENTS
from simorgh.demo.sending import declare_hooks, post_all
from simorgh.demo.simulation import (
    HEAVY_DEVICES,
    KIOSK_USERS,
    PEOPLE,
    families,
    heavy_user,
    kiosk_users,
    make_crowd,
    simulate,
)

DATA: Final = Path(__file__).parent / "data"
LAST_PURCHASE: Final = 1_323_435_000_000
"""When the real file ends: 2011-12-09 12:50 in London."""

_WEEK_MS: Final = 7 * 86_400_000
_PATIENCE_S: Final = 600.0


def run_demo(
    base_url: str,
    write_key: str,
    token: str,
    console: Console,
    *,
    clock: Clock = system_clock,
    people: int = PEOPLE,
    connections: int = 6,
    shown_url: str = "",
) -> None:
    """Load a year of a shop into the server at `base_url` and print the findings.

    Blocks until all effects are visible. `people`: how many of the customers get a simulated life on the web;
    `shown_url`: the address in the printed requests, if not `base_url`. Running it again on the same data counts
    nothing twice. Raises `SimorghError` if the server refuses the keys, disappears or does not finish within ten
    minutes.
    """
    now = clock()
    weeks = weeks_to(now)
    findings.print_opening(console, weeks, LAST_PURCHASE + weeks * _WEEK_MS, now)
    started = time.perf_counter()
    headers = {"authorization": f"Bearer {token}"}
    with httpx.Client(base_url=base_url, headers=headers, timeout=120.0) as api:
        with _progress(console) as progress:
            report, history = _import_purchases(base_url, write_key, weeks, progress)
            crowd = make_crowd(history, people)
            todo = list(simulate(crowd, now))
            task = progress.add_task("simulated, by SDK and webhooks, events", total=sum(one.events for one in todo))
            posted = post_all(
                base_url,
                write_key,
                declare_hooks(api),
                todo,
                clock=clock,
                connections=connections,
                progress=lambda events: progress.advance(task, events),
            )
            _wait_until_visible(api, progress)
            seconds = time.perf_counter() - started
            segments = _declare_segments(api, progress)
        loaded = findings.Loaded(report, posted.events, posted.rejected, seconds)
        findings.print_figures(console, _get(api, "/v1/status"), loaded)
        findings.print_people(console, _get(api, "/v1/status"), _customers(api))
        findings.print_identity(console, _decisions(api, crowd))
        findings.print_segments(console, segments)
        someone = _somebody(crowd)
        findings.print_view(console, _get(api, f"/v1/profiles/user_id:{someone}?include={findings.PARTS}"))
    findings.print_next(console, shown_url or base_url, token, someone)


def weeks_to(now: int) -> int:
    """By how many whole weeks the past moves: as many as leave nothing in the future.

    The last purchase then is as near to yesterday as whole weeks allow: 0 to 7 days ago, always on its weekday.
    """
    return (now - LAST_PURCHASE) // _WEEK_MS


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description:<38}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)


def _import_purchases(base_url: str, write_key: str, weeks: int, progress: Progress) -> tuple[Report, History]:
    task = progress.add_task("real purchases, rows of the file", total=None)
    with HttpSink(base_url, write_key) as sink:
        keeper = HistoryKeeper(sink)
        report = import_file(
            DATA / "online_retail.parquet",
            load_mapping(DATA / "mapping.toml"),
            keeper,
            lambda done, total: progress.update(task, completed=done, total=total),
            shift_weeks=weeks,
        )
    return report, keeper.history


# --- Waiting and declaring ---


def _wait_until_visible(api: httpx.Client, progress: Progress) -> None:
    """Until no projection lags: then everything that was answered is in the profiles."""
    task = progress.add_task("profiles catch up, events to go", total=None)
    deadline = time.monotonic() + _PATIENCE_S
    most = 0
    while lag := max((stage["lag_events"] for stage in _get(api, "/v1/status")["projections"]), default=0):
        most = max(most, lag)
        progress.update(task, total=most, completed=most - lag)
        if time.monotonic() > deadline:
            raise Broken(f"demo: wanted no lag after {_PATIENCE_S:.0f} s, got {lag} events; see the server's log")
        time.sleep(0.25)
    progress.update(task, total=most or 1, completed=most or 1)


def _declare_segments(api: httpx.Client, progress: Progress) -> list[dict[str, Any]]:
    """The segments with their sizes. A segment that is declared already (a second run) stays unchanged."""
    task = progress.add_task("segments declared and filled", total=len(SEGMENTS))
    found: list[dict[str, Any]] = []
    for segment in SEGMENTS:
        started = time.perf_counter()
        response = api.post("/v1/segments", json=segment)
        if response.status_code not in (201, 409):
            raise Broken(
                f"demo: POST /v1/segments: wanted 201, got {response.status_code} ({response.text[:300]}); see the"
                " server's log"
            )
        seconds = time.perf_counter() - started
        found.append({**_get(api, f"/v1/segments/{segment['id']}"), "seconds": seconds})
        progress.advance(task)
    return found


def _customers(api: httpx.Client) -> int:
    """How many profiles have a loyalty card."""
    response = api.post("/v1/segments/preview", json={"rule": {"identity": "loyalty_card", "exists": True}})
    if not response.is_success:
        raise Broken(f"demo: POST /v1/segments/preview: wanted 200, got {response.status_code}; see the server's log")
    return int(response.json()["count"])


def _get(api: httpx.Client, path: str) -> dict[str, Any]:
    response = api.get(path)
    if not response.is_success:
        raise Broken(f"demo: GET {path}: wanted 200, got {response.status_code}; see the server's log")
    answer: dict[str, Any] = response.json()
    return answer


def _decisions(api: httpx.Client, crowd: list[Person]) -> dict[str, list[dict[str, Any]]]:
    """The decisions of identity for each problem, from the API: problem -> decisions."""
    about = {
        f"one customer with {HEAVY_DEVICES} browsers": heavy_user(crowd),
        "two customers with one email address": families(crowd)[0][1],
        f"a shop tablet that {KIOSK_USERS} customers use": kiosk_users(crowd)[-1],
    }
    return {
        trouble: _get(api, f"/v1/profiles/user_id:{person.user_id}/identities?explain=true")["decisions"]
        for trouble, person in about.items()
    }


def _somebody(crowd: list[Person]) -> str:
    """The user id of a customer who was heard on the most channels, and of those of the one who bought most often."""
    return max(crowd, key=lambda person: (len(person.channels), len(person.purchases), person.card)).user_id
