"""Commands that run until they are stopped: one machine, the roles of a cluster, the demo."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from simorgh.commands.options import Data, Host, Port
from simorgh.settings import load_settings


def add_to(app: typer.Typer) -> None:
    for command in (serve, collect, work, api, demo):
        app.command()(command)


def serve(data: Data = None, host: Host = "127.0.0.1", port: Port = 8000) -> None:
    """Run everything in one process: collector, processors, API. Creates the data folder if it is missing."""
    from simorgh.serve import serve as run

    run(load_settings(data=data), host, port, _announce)


def collect(host: Host = "127.0.0.1", port: Port = 8000) -> None:
    """Cluster role: receive events over HTTP and write them to Kafka."""
    from simorgh.collect import collect as run

    run(load_settings(), host, port, _announce_role("collects"))


def work(host: Host = "127.0.0.1", port: Port = 0) -> None:
    """Cluster role: the Faust worker. Address and port are those of its health and metrics pages."""
    from simorgh.work import work as run

    run(load_settings(), host, port, _announce_role("works"))


def api(host: Host = "127.0.0.1", port: Port = 8001) -> None:
    """Cluster role: the profile API on ClickHouse."""
    from simorgh.api import api as run

    run(load_settings(), host, port, _announce_role("answers"))


def demo(
    data: Annotated[Path | None, typer.Option(help="A new folder. Default: a temporary one.")] = None,
    port: Port = 8000,
    no_serve: Annotated[bool, typer.Option("--no-serve", help="Exit after the findings.")] = False,
    keep: Annotated[
        bool | None,
        typer.Option(
            "--keep/--remove",
            help="Keep or remove the data at the end. Default: keep a named folder, else ask.",
        ),
    ] = None,
) -> None:
    """Load real purchases, simulate visits, emails, chats, tickets, calls and surveys around them, print the findings,
    then serve."""
    from simorgh.demo.command import run_demo

    run_demo(data, port, serve=not no_serve, console=Console(), keep=keep)


def _announce_role(does: str) -> Callable[[str], None]:
    return lambda url: print(f"Simorgh {does} on {url}", flush=True)


def _announce(url: str) -> None:
    print(f"Simorgh listens on {url} (API: {url}/docs). Stop with Ctrl-C.", flush=True)
