"""Looking after a deployment: its status, its health, its tables."""

from typing import Annotated

import typer

from simorgh import __version__
from simorgh.commands.options import AsJson, Data
from simorgh.commands.output import note, progress, say, show, tell
from simorgh.commands.session import connect
from simorgh.settings import load_settings


def add_to(app: typer.Typer) -> None:
    for command in (status, tail, doctor, replay, migrate, version):
        app.command()(command)


def status(data: Data = None, as_json: AsJson = False) -> None:
    """Show the numbers of events, profiles and identities, and the lag of each projection."""
    with connect(data) as api:
        answer = api.get("/v1/status")
    if as_json:
        tell(answer, as_json=True)
        return
    counts = {**answer["events"], "profiles": answer["profiles"], "identities": answer["identities"]}
    show({"items": [{"count of": name, "is": f"{count:,}"} for name, count in counts.items()]}, ("count of", "is"))
    say("")
    show({"items": answer["projections"]}, ("name", "lag_events", "lag_seconds"))


def tail(
    data: Data = None,
    lines: Annotated[int, typer.Option(help="The number of latest events to show first.", min=0, max=1000)] = 10,
    as_json: AsJson = False,
) -> None:
    """Show events as they arrive, accepted and rejected, each once and in order. Stop with Ctrl-C."""
    from simorgh.tail import follow

    with connect(data) as api:
        follow(api, lines, as_json=as_json, note=note)


def doctor(
    data: Data = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Continue without the records that a damaged log has lost.")
    ] = False,
) -> None:
    """Check that everything is in order; exits with 1 if it is not."""
    from simorgh.doctor import examine
    from simorgh.repair import repair_log

    if repair:
        for line in repair_log(load_settings(data=data)):
            say(line)
        return
    findings = examine(load_settings(data=data))
    for finding in findings:
        mark = typer.style("ok ", fg="green") if finding.ok else typer.style("bad", fg="red")
        typer.echo(f"{mark} {finding.what}: {finding.says}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def replay(data: Data = None) -> None:
    """Rebuild the projections from the log next to the live ones, and swap them in."""
    from simorgh.deployment import deployment_of

    settings = load_settings(data=data)
    with progress() as bar:
        task = bar.add_task("events", total=None)
        generation = deployment_of(settings).replay(lambda done, total: bar.update(task, completed=done, total=total))
    say(f"replayed: generation {generation} is live")


def migrate(data: Data = None) -> None:
    """Create missing tables, and topics on Kafka."""
    from simorgh.folder import migrate as run

    say(f"in place: {run(load_settings(data=data))}")


def version() -> None:
    """Print the version."""
    say(__version__)
