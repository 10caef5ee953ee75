"""The demo's output: plain tables that also read well in a file. Makes no request."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from producers.files.report import Report
from producers.vendors.catalogue import CONNECTORS
from simorgh.demo.simulation import HEAVY_DEVICES, VISITORS

PARTS: Final = "traits,identities,segments,metrics,consent,events"
"""The parts of a 360° view that are shown."""

CUSTOMERS: Final = 4_372
DEFAULT_LIMIT: Final = 5
"""Browsers that one person may have by the default identity rules."""

_DAY_MS: Final = 86_400_000

Json = dict[str, Any]


@dataclass(frozen=True)
class Loaded:
    """What was sent. `seconds`: from the first row until the last effect is visible."""

    purchases: Report
    simulated: Counter[str]
    """By the vendor whose webhook told of them; "": by the SDK of the web."""
    refused: int
    """Of the simulated ones."""
    seconds: float


def print_opening(console: Console, weeks: int, last: int, now: int) -> None:
    """The real and the simulated part. `last`: when the last purchase is, moved by `weeks`, in ms."""
    day = datetime.fromtimestamp(last / 1000, UTC)
    console.print(
        Text.assemble(
            ("Real: ", "bold"),
            "a year of purchases in a UK gift shop (UCI Online Retail, CC BY 4.0, Chen 2015), "
            f"moved by {weeks:,} whole weeks, so that every weekday stays what it was: the last one is now on "
            f"{day:%A, %Y-%m-%d at %H:%M} UTC, {_days_before(last, now)}; the next whole week would put it into the "
            "future.\n",
            ("Simulated: ", "bold"),
            "what the same customers might have done: on the web, as an SDK tells it; in their mail, in chats, at the "
            "help desk, on the telephone and in surveys, as the vendors' signed webhooks tell it.",
        )
    )


def _days_before(moment: int, now: int) -> str:
    """In words, by the calendar (UTC): "yesterday"."""
    days = now // _DAY_MS - moment // _DAY_MS
    return {0: "today", 1: "yesterday"}.get(days, f"{days} days ago")


def print_figures(console: Console, status: Json, loaded: Loaded) -> None:
    """Events, profiles and speed. `status` is the answer of `/v1/status`."""
    events = status["events"]
    simulated = loaded.simulated.total() - loaded.refused
    sent = loaded.purchases.total + simulated
    table = _table("what came in", "", right=(1,))
    table.add_row("rows of the till's file", f"{loaded.purchases.rows:,}")
    for kind, count in loaded.purchases.events.most_common():
        table.add_row(f"  became {kind}", f"{count:,}")
    table.add_row("simulated events", f"{simulated:,}")
    for vendor, count in loaded.simulated.most_common():
        how = f"by {CONNECTORS[vendor].title}, signed" if vendor else "by Segment's SDK"
        table.add_row(f"  {how}", f"{count:,}")
    table.add_row("events in the log", f"{events['logged']:,}")
    table.add_row("  of them sent before (counted once)", f"{events['duplicates']:,}")
    table.add_row("rejected, kept with their reason", f"{events['rejected']:,}")
    console.print(table)
    console.print(
        f"{sent:,} events from the file and over HTTP to visible profiles in {loaded.seconds:.1f} s: "
        f"{sent / loaded.seconds:,.0f} events/s\n"
    )


def print_people(console: Console, status: Json, customers: int) -> None:
    """Identities and profiles. `customers`: profiles with a loyalty card, as the platform counts them."""
    console.print(f"{status['identities']:,} identities turned out to be {status['profiles']:,} profiles\n")
    others = status["profiles"] - customers
    surplus = HEAVY_DEVICES - DEFAULT_LIMIT
    table = _table("who they are", "", right=(1,))
    table.add_row("identities", f"{status['identities']:,}")
    table.add_row("  merged into another's profile", f"{status['identities'] - status['profiles']:,}")
    table.add_row("profiles", f"{status['profiles']:,}", style="bold")
    table.add_row("  customers", f"{customers:,}")
    table.add_row("  visitors who never said who they are", f"{others:,}")
    console.print(table)
    console.print(
        f"(the file has {CUSTOMERS:,} customers; the simulation adds {VISITORS} visitors who never log in "
        f"and {surplus} browsers over one customer's limit)\n"
    )


def print_identity(console: Console, decisions: dict[str, list[Json]]) -> None:
    """What identity decided about some people, by trouble."""
    table = _table("who must not be joined", "decisions", "why")
    for trouble, made in decisions.items():
        told = Counter((one["outcome"], one.get("reason", "")) for one in made if one["outcome"] != "merged")
        merged = sum(one["outcome"] == "merged" for one in made)
        table.add_row(trouble, f"{merged} merged", "identifiers of both on one event")
        for (outcome, reason), count in told.most_common():
            table.add_row("", f"{count} {outcome}", reason)
    console.print(table)


def print_segments(console: Console, segments: list[Json]) -> None:
    table = _table("segment", "profiles", "back-filled in", "meaning", right=(1, 2))
    for segment in segments:
        table.add_row(segment["id"], f"{segment['size']:,}", f"{segment['seconds']:.2f} s", segment["name"])
    console.print(table)


def print_view(console: Console, view: Json) -> None:
    """One customer from all sides."""
    metrics = view["metrics"]
    name = view["traits"].get("name", view["profile_id"])
    table = _table(f"360° of {name}", view["profile_id"])
    for trait, value in view["traits"].items():
        table.add_row(trait, str(value))
    for one in view["identities"]:
        table.add_row(one["type"], f"{one['value']}   ({one['first_seen'][:10]} to {one['last_seen'][:10]})")
    for segment in view["segments"]:
        table.add_row("in segment", f"{segment['id']}   since {segment['entered_at'][:10]}")
    for purpose, value in view.get("consent", {}).items():
        table.add_row("consent", f"{purpose}: {value}")
    table.add_row("events", f"{metrics['events']:,}, last {metrics['last_seen'][:16].replace('T', ' ')}")
    table.add_row(
        "orders, revenue, refunds",
        f"{metrics['orders']:,}, {_money(metrics['revenue'])}, {_money(metrics.get('refunds', {}))}",
    )
    for event in view.get("events", {}).get("items", [])[:8]:
        table.add_row(event["time"][:16].replace("T", " "), f"{event['type']}   ({event['channel']})")
    console.print(table)


def print_next(console: Console, base_url: str, token: str, someone: str) -> None:
    """Lines to paste into a shell."""
    paths = (
        f"/v1/profiles/user_id:{someone}",
        f"/v1/profiles/user_id:{someone}/identities?explain=true",
        f"/v1/profiles/user_id:{someone}/events?limit=20",
        "/v1/segments/vip/members",
        f"/v1/segments/vip/why/user_id:{someone}",
        "/v1/rejected",
        "/v1/status",
    )
    ask = 'curl -sH "Authorization: Bearer $TOKEN"'
    lines = [f"TOKEN='{token}'", *(f"{ask} '{base_url}{path}'" for path in paths)]
    console.print(Text("\nAsk it yourself:", style="bold"))
    for line in lines:  # as they are: a wrapped or coloured line cannot be pasted
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _money(amounts: dict[str, float]) -> str:
    return " + ".join(f"{amount:,.2f} {currency}" for currency, amount in amounts.items()) or "none"


def _table(*titles: str, right: tuple[int, ...] = ()) -> Table:
    table = Table(*titles, box=None, padding=(0, 2, 0, 0), title_justify="left", header_style="bold")
    for column in right:
        table.columns[column].justify = "right"
    return table
